"""enable-on-boot and disable-on-boot, with a private /etc/systemd/system."""

import pathlib
import re
import shutil

import pytest

UNIT = "/etc/systemd/system/globus-compute-endpoint-ep.service"
CURRENT = """[Unit]
Description=Globus Compute Endpoint "ep"
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart={program} start ep
User=root
Type=simple
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""
SEED = CURRENT.replace('Endpoint "ep"', "Endpoint systemd service (ep)").replace("Sec=1\n", "Sec=30\n")


def run(unit_folder, program, credentials, script):
    done = unit_folder(script.format(gce=program.path, unit=UNIT),
                       {**program.environment, **credentials, "USER": "root"})
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("config, text", [("display_name: null\n", CURRENT), ("multi_user: true\n", SEED)],
                         ids=["current", "seed"])
def test_unit(unit_folder, ours, credentials, config, text):
    ours.endpoint("ep", config=config)
    code, out, err = run(unit_folder, ours, credentials,
                         "umask 077; {gce} enable-on-boot ep; stat -c %a {unit}; cat {unit}")
    assert code == 0, err
    said, _, unit = out.partition("644\n")
    assert said == (f"Systemd service installed at {UNIT}. Run\n"
                    "\tsudo systemctl enable globus-compute-endpoint-ep --now\n"
                    "to enable the service and start the endpoint.\n")
    assert unit == text.format(program=ours.path)


def documented_figure():
    text = (pathlib.Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    return re.search(r"\| `globus-compute-endpoint@.service` \| ([\d.]+) \|", text)[1]


def test_hardened_unit(unit_folder, ours, credentials, prefix):
    """It is the installed unit, with this endpoint's name; systemd-analyze agrees with the document."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    ours.endpoint("ep", config="multi_user: true\n")
    code, out, err = run(unit_folder, ours, credentials,
                         "{gce} enable-on-boot --hardened ep >/dev/null; systemd-analyze verify --man=no {unit}; "
                         "cat {unit}; echo ====; systemd-analyze --version | head -n 1; "
                         "systemd-analyze security --offline=true --no-pager {unit} | tail -n 1")
    assert code == 0 and not err, err
    unit, _, said = out.partition("====\n")
    installed = (prefix / "lib/systemd/system/globus-compute-endpoint@.service").read_text()
    installed = re.sub(r"^ExecStart=\S+", f"ExecStart={ours.path}", installed, flags=re.M)
    assert unit == installed.replace("%i", "ep")
    assert {"Type=notify", "KillMode=process", f"ExecStart={ours.path} start ep"} <= set(unit.splitlines())
    assert "@" not in re.sub(r"^#.*$", "", unit, flags=re.M)
    if said.startswith("systemd 252 "):
        assert re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1] == documented_figure()


def test_hardened_unit_of_an_odd_name(unit_folder, ours, credentials):
    """Per cent and dollar signs mean something to systemd, and must not."""
    ours.endpoint("50%$x", config="multi_user: true\n")
    code, out, err = run(unit_folder, ours, credentials,
                         "{gce} enable-on-boot --hardened '50%$x' >/dev/null; cat /etc/systemd/system/*.service")
    assert code == 0, err
    assert f'\nExecStart={ours.path} start "50%%$$x"\n' in out
    assert '\nDescription=Globus Compute endpoint "50%%$x"\n' in out


def test_like_the_original(unit_folder, ours, original, credentials):
    answers = []
    for program in (ours, original):
        program.endpoint("ep")
        code, out, err = run(unit_folder, program, credentials,
                             "{gce} disable-on-boot ep || true; {gce} enable-on-boot ep; "
                             "cat {unit}; {gce} enable-on-boot ep || echo again: $?; {gce} disable-on-boot ep")
        assert code == 0, err
        answers.append((program.shown(out), err))
    assert answers[0] == answers[1]
    assert "again: 1" in answers[0][0]


def test_not_while_it_runs(unit_folder, ours, original, credentials):
    answers = []
    for program in (ours, original):
        program.endpoint("ep", pid_age=1)
        answers.append(run(unit_folder, program, credentials, "{gce} enable-on-boot ep"))
    assert answers[0] == answers[1]
    assert answers[0][0] == 1 and "Cannot enable on-boot persistence" in answers[0][2]


def test_no_permission_shows_the_unit(unit_folder, ours, credentials, accounts):
    account = accounts.get("ada")
    ours.environment["GLOBUS_COMPUTE_USER_DIR"] = str(account.home / "base")
    script = ("setpriv --reuid {uid} --clear-groups sh -ec 'mkdir -p $GLOBUS_COMPUTE_USER_DIR/ep; "
              "touch $GLOBUS_COMPUTE_USER_DIR/ep/config.yaml; {{gce}} enable-on-boot ep'")
    code, _, err = run(unit_folder, ours, credentials, script.format(uid=account.uid))
    assert code == 1
    assert "(Do you need to be root?)" in err and "----- Systemd unit file content -----\n[Unit]\n" in err


def test_no_systemd(ours, original, credentials, unit_folder):
    answers = []
    for program in (ours, original):
        program.endpoint("ep")
        done = unit_folder("umount /etc/systemd/system; mount -t tmpfs none /etc/systemd; "
                           f"{program.path} disable-on-boot ep", program.environment)
        answers.append((done.returncode, done.stderr))
    assert answers[0] == answers[1]
    assert answers[0][0] == 1 and "Systemd not found." in answers[0][1]
