"""enable-on-boot and disable-on-boot, with a private /etc/systemd/system."""

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


def test_hardened_unit(unit_folder, ours, credentials):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    ours.endpoint("ep", config="multi_user: true\n")
    code, out, err = run(unit_folder, ours, credentials,
                         "{gce} enable-on-boot --hardened ep >/dev/null; systemd-analyze verify {unit}; cat {unit}; "
                         "systemd-analyze security --offline=true --no-pager {unit} | tail -n 1")
    assert code == 0 and not err, err
    assert "\nType=notify\n" in out and f"\nExecStart={ours.path} start ep\n" in out
    assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", out)[1]) <= 8.2, out[-200:]


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
