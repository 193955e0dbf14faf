"""The web console as its tests enter it."""

from support.signin import PASSWORD


def sign_in(page, site, name):
    page.devtools("Network.clearBrowserCookies")
    page.go(site.url + "/web/sign-in")
    page.find("#username").type(name)
    page.find("#password").type(PASSWORD)
    page.find("button").click()
    page.wait(".live.on")
