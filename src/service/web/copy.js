// The code page without this script shows a field to copy from by hand; with it there is a button.
"use strict";
const field = document.getElementById("code");
const button = document.getElementById("copy");
const told = document.getElementById("copied");

if (field && button) {
  button.hidden = false;
  field.addEventListener("focus", () => field.select());
  field.select();
  button.addEventListener("click", async () => {
    field.select();
    let copied = false;
    try {
      await navigator.clipboard.writeText(field.value);
      copied = true;
    } catch {
      copied = document.execCommand("copy"); // plain HTTP: the clipboard interface is not there
    }
    told.textContent = copied ? "Copied. Go back to your program and paste it."
      : "The browser did not allow it; press Ctrl+C (⌘C) while the code is marked.";
    button.textContent = copied ? "Copied" : "Copy";
  });
}
