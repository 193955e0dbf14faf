"""A pretended batch system with many faces: `batch.py SYSTEM COMMAND ARGUMENTS...`.

Jobs are files in $DOUBLE_DIR/jobs and run at once, as background processes of this machine.  What the
commands print has the form of the real ones.  $DOUBLE_DIR/log gets each command line; a file
$DOUBLE_DIR/faults/NAME switches a fault on, its text is the value:

    slow-status S, slow-submit S (after the job was taken), late-submit S (taken that much later, by
    then without the command), slow-cancel S, down, refuse-submit TEXT,
    refuse-cancel N (that often), hold (jobs stay queued), no-history, broken-json, one-of-many,
    garbage MB (status answers are noise, of that size, with exit status 0),
    forget (ended jobs are unknown), no-accounting, odd-submit TEXT (instead of the id)
"""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

DIR = pathlib.Path(os.environ["DOUBLE_DIR"])


def fault(name):
    path = DIR / "faults" / name
    return path.read_text().strip() or "1" if path.exists() else None


def fail(text, code=1):
    print(text, file=sys.stderr)
    sys.exit(code)


def pause(name):
    if fault(name):
        time.sleep(float(fault(name)))


# ---- jobs --------------------------------------------------------------------------------------


class Job:
    def __init__(self, path):
        self.path = path
        self.__dict__.update(json.loads(path.read_text()))

    def code(self):
        try:
            return int((DIR / "jobs" / f"{self.number}.ec").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def state(self):
        """queued, running, done, failed, cancelled"""
        if self.code() is not None:
            return "done" if self.code() == 0 else "failed"
        if (DIR / "jobs" / f"{self.number}.cancelled").exists():
            return "cancelled"
        return "running" if self.pid else "queued"

    def over(self):
        return self.state() in ("done", "failed", "cancelled")

    def cancel(self):
        if self.over():
            return
        (DIR / "jobs" / f"{self.number}.cancelled").write_text("")
        if self.pid:
            try:
                os.killpg(self.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass

    def nodes(self):
        return [f"node{i + 1}" for i in range(self.node_count)]


def jobs():
    found = [Job(p) for p in (DIR / "jobs").glob("*.json")]
    return sorted(found, key=lambda j: j.number)


def by_number(text):
    number = re.match(r"[0-9a-f]+", text)
    for job in jobs():
        if number and (str(job.number) == number.group() or job.key == text):
            return job
    return None


def visible(job):
    return job is not None and not (fault("forget") and job.over())


def submit(name, argv, out, err, node_count=1, key="", env=None):
    """Takes the job and starts it; its number."""
    if fault("refuse-submit"):
        fail(fault("refuse-submit"), 1)
    if fault("late-submit"):  # the command is killed meanwhile, the controller is not
        if os.fork():
            time.sleep(3600)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        pause("late-submit")
    (DIR / "jobs").mkdir(exist_ok=True)
    number = 1
    while True:  # two of these may run at once
        try:
            (DIR / "jobs" / f"{number}.taken").touch(exist_ok=False)
            break
        except FileExistsError:
            number += 1
    nodefile = DIR / "jobs" / f"{number}.nodes"
    nodefile.write_text("".join(f"node{i + 1}\n" * 2 for i in range(node_count)))
    job = {"number": number, "name": name, "pid": 0, "node_count": node_count, "key": key}
    if not fault("hold"):
        ec = DIR / "jobs" / f"{number}.ec"
        errors = "&1" if err == out else shlex.quote(err)
        line = (f"{shlex.join(argv)} >{shlex.quote(out)} 2>{errors}; "
                f"echo $? > {ec}.new; mv {ec}.new {ec}")
        process = subprocess.Popen(
            ["/bin/bash", "-c", line], start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=True,
            env=os.environ | {k: v.format(nodefile=nodefile, number=number)
                              for k, v in (env or {}).items()})
        job["pid"] = process.pid
    new = DIR / "jobs" / f"{number}.new"
    new.write_text(json.dumps(job))
    new.rename(DIR / "jobs" / f"{number}.json")
    pause("slow-submit")
    if fault("odd-submit"):
        print(fault("odd-submit"))
        sys.exit(0)
    return number


def cancel_all(found):
    pause("slow-cancel")
    path = DIR / "faults" / "refuse-cancel"
    if path.exists():
        left = int(path.read_text()) - 1
        path.write_text(str(left)) if left > 0 else path.unlink()
        fail("the server is busy")
    for job in found:
        job.cancel()


def directives(script, mark):
    text = pathlib.Path(script).read_text()
    return [line[len(mark):].strip() for line in text.splitlines() if line.startswith(mark)]


def directive(script, mark, flag, otherwise=""):
    for line in directives(script, mark):
        if line.startswith(flag):
            return line[len(flag):].strip().lstrip("=").strip('"')
    return otherwise


# ---- PBS Pro and Torque ------------------------------------------------------------------------

PBS_STATES = {"queued": "Q", "running": "R"}


def pbs_qsub(args, final):
    script = args[-1]
    name = directive(script, "#PBS", "-N")
    select = directive(script, "#PBS", "-l select") or directive(script, "#PBS", "-l nodes")
    number = submit(name, ["/bin/bash", script], directive(script, "#PBS", "-o"),
                    directive(script, "#PBS", "-e"), int(select.split(":")[0]),
                    env={"PBS_NODEFILE": "{nodefile}", "PBS_JOBID": "{number}.pretend"})
    print(f"{number}.pretend.example.org")


def pbs_letter(job, final):
    return PBS_STATES.get(job.state(), final)


def pbs_table(found, final):
    print("Job id            Name             User              Time Use S Queue")
    print("----------------  ---------------- ----------------  -------- - -----")
    for job in found:
        print(f"{job.number}.pretend  {job.name[:14]:16} tstu  00:00:00 {pbs_letter(job, final)} workq")


def pbs_qstat(args, final):
    ids = [a for a in args if a[0].isdigit()]
    history = "-x" in args
    if history and fault("no-history"):
        if "json" in args:
            print(json.dumps({"timestamp": 1, "pbs_version": "x", "pbs_server": "pretend"}))
        print(f"qstat: PBS is not configured to maintain job history {' '.join(ids)}", file=sys.stderr)
        sys.exit(0)
    code, found = 0, []
    for text in ids:
        job = by_number(text)
        if not visible(job) or (job.over() and fault("no-history")):
            print(f"qstat: Unknown Job Id {text}", file=sys.stderr)
            code = 153
        elif job.over() and not history and final == "F":
            print(f"qstat: {text} Job has finished, use -x or -H to obtain historical job information",
                  file=sys.stderr)
            code = 35
        else:
            found.append(job)
    if fault("one-of-many"):
        found, code = found[:1], 0
    if "json" not in args:
        pbs_table(found, final)
        sys.exit(code)
    answer = {"timestamp": 1, "pbs_version": "23.06.06", "pbs_server": "pretend"}
    if found:
        answer["Jobs"] = {}
    for job in found:
        answer["Jobs"][f"{job.number}.pretend"] = {"Job_Name": job.name,
                                                  "job_state": pbs_letter(job, final)}
        if job.over():
            answer["Jobs"][f"{job.number}.pretend"]["Exit_status"] = job.code() or 0
    text = json.dumps(answer, indent=1)
    print(text.replace('"Job_Name": "', '"Job_Name": "a"b') if fault("broken-json") else text)
    sys.exit(code)


def pbs_qdel(args, final):
    found, code = [], 0
    for text in args:
        job = by_number(text)
        if job is None:
            print(f"qdel: Unknown Job Id {text}", file=sys.stderr)
            code = 153
        elif job.over():
            print(f"qdel: Job has finished {text}", file=sys.stderr)
            code = 35
        else:
            found.append(job)
    cancel_all(found)
    sys.exit(code)


def pbs_qselect(args, final):
    for job in jobs():
        if job.name == args[args.index("-N") + 1] and not job.over():
            print(f"{job.number}.pretend.example.org")


# ---- Slurm -------------------------------------------------------------------------------------

SLURM_LONG = {"queued": "PENDING", "running": "RUNNING", "done": "COMPLETED", "failed": "FAILED",
              "cancelled": "CANCELLED by 1000"}


def slurm_sbatch(args, final):
    script = args[-1]
    name = directive(script, "#SBATCH", "--job-name")
    number = submit(name, ["/bin/bash", script], directive(script, "#SBATCH", "--output"),
                    directive(script, "#SBATCH", "--error"),
                    int(directive(script, "#SBATCH", "--nodes")),
                    env={"SLURM_JOB_ID": "{number}", "SLURM_JOB_NAME": name})
    print(f"Submitted batch job {number}")


def slurm_ids(args):
    return args[args.index("--job") + 1].split(",")


def slurm_sacct(args, final):
    if fault("no-accounting"):
        fail("Slurm accounting storage is disabled")
    if args == ["-X"]:
        return
    for text in slurm_ids(args):
        job = by_number(text)
        if visible(job):
            print(f"{job.number:<12} {SLURM_LONG[job.state()]:>20}")
    print("4711 RUNNING")  # somebody else's


def slurm_squeue(args, final):
    ids = slurm_ids(args)
    found = [by_number(text) for text in ids]
    if len(ids) == 1 and not visible(found[0]):
        fail("slurm_load_jobs error: Invalid job id specified")
    for job in found:
        if job is not None and not job.over():
            print(job.number, "PD" if job.state() == "queued" else "R")


def slurm_scancel(args, final):
    names = [a.split("=", 1)[1] for a in args if a.startswith("--name=")]
    ids = [a for a in args if a.isdigit()]
    cancel_all([j for j in jobs() if (j.name in names if names else str(j.number) in ids)])


# ---- LSF ---------------------------------------------------------------------------------------

LSF_STATES = {"queued": "PEND", "running": "RUN", "done": "DONE", "failed": "EXIT",
              "cancelled": "EXIT"}


def lsf_bsub(args, final):
    if args:
        script = args[0]
    else:
        script = str(DIR / "stdin.sh")
        pathlib.Path(script).write_text(sys.stdin.read())
    out = directive(script, "#BSUB", "-o").replace(".stdout/.stderr", "")
    number = submit(directive(script, "#BSUB", "-J"), ["/bin/bash", script], out,
                    directive(script, "#BSUB", "-e"),
                    int(directive(script, "#BSUB", "-nnodes", "1")))
    print(f"Job <{number}> is submitted to default queue <normal>.")


def lsf_bjobs(args, final):
    if "-J" in args:
        found = [j for j in jobs() if j.name == args[args.index("-J") + 1] and not j.over()]
        print("".join(f"{j.number}\n" for j in found), end="")
        sys.exit(0 if found else 255)
    code = 0
    for text in args[3:]:
        job = by_number(text)
        if visible(job):
            print(job.number, LSF_STATES[job.state()])
        else:
            print(f"Job <{text}> is not found", file=sys.stderr)
            code = 255
    sys.exit(code)


def lsf_bkill(args, final):
    if "-J" in args:
        found = [j for j in jobs() if j.name == args[args.index("-J") + 1] and not j.over()]
    else:
        found = [by_number(a) for a in args]
    cancel_all([j for j in found if j is not None])


# ---- Grid Engine -------------------------------------------------------------------------------


def sge_qsub(args, final):
    script = args[-1]
    number = submit(pathlib.Path(script).name, ["/bin/bash", script],
                    directive(script, "#$", "-o"), directive(script, "#$", "-e"))
    print(number if "-terse" in args else f"Your job {number} has been submitted")


def sge_qstat(args, final):
    if "-j" in args:
        found = [j for j in jobs() if j.name == args[args.index("-j") + 1] and not j.over()]
        sys.exit(0 if found else 1)
    found = [j for j in jobs() if not j.over()]
    if not found:
        return
    print("job-ID  prior   name       user         state submit/start at     queue   slots ja-task-ID")
    print("-" * 100)
    for job in found:
        letter = "qw" if job.state() == "queued" else "r"
        print(f"{job.number:7} 0.55500 {job.name[:10]:10} tstu         {letter:5} 11/24/2026 10:00:00")


def sge_qdel(args, final):
    cancel_all([j for j in jobs() if str(j.number) in args or j.name in args])


# ---- HTCondor ----------------------------------------------------------------------------------

CONDOR_STATES = {"queued": 1, "running": 2, "cancelled": 3, "done": 4, "failed": 4}


def condor_submit(args, final):
    keys = dict(re.findall(r"^(\S+)\s*=\s*(.*)$", pathlib.Path(args[0]).read_text(), re.M))
    script = keys["transfer_input_files"].split(",")[0]
    env = dict(re.findall(r"(\w+)='([^']*)'", keys["environment"]))
    number = submit(keys["arguments"], [keys["executable"], script], keys["output"], keys["error"],
                    int(keys["machine_count"]), env=env)
    print(f"Submitting job(s).\n1 job(s) submitted to cluster {number}.")


def condor_found(args):
    if "-constraint" in args:
        name = re.search(r'"(.*?)"', args[args.index("-constraint") + 1]).group(1)
        return [j for j in jobs() if j.name == name and not j.over()]
    return [j for j in jobs() if f"{j.number}.0" in args]


def condor_q(args, final):
    for job in condor_found(args):
        if visible(job):
            print(f"{job.number}.0 {CONDOR_STATES[job.state()]}")


def condor_rm(args, final):
    found = condor_found(args)
    if "-forcex" not in args:
        cancel_all(found)
    elif not found:
        fail("Couldn't find/remove all jobs matching the constraint")


# ---- Cobalt ------------------------------------------------------------------------------------


def cobalt_qsub(args, final):
    def value(flag):
        return args[args.index(flag) + 1] if flag in args else ""
    number = submit(value("--jobname"), ["/bin/bash", args[-1]], value("-o"), value("-e"),
                    int(value("-n")), env={"COBALT_NODEFILE": "{nodefile}"})
    print(number)


def cobalt_qstat(args, final):
    named = "JobID:JobName" in args
    print("JobID  JobName" if named else "JobID  User  WallTime  Nodes  State  Location")
    print("=" * 60)
    for job in jobs():
        if not job.over():
            rest = job.name if named else f"tstu 00:10:00 {job.node_count} {job.state()} none"
            print(job.number, rest)


# ---- Kubernetes --------------------------------------------------------------------------------

PHASES = {"queued": "Pending", "running": "Running", "done": "Succeeded", "failed": "Failed"}


def kube_selected(args):
    keys = re.search(r"in \((.*)\)", args[args.index("-l") + 1]).group(1).split(",")
    return [j for j in jobs() if j.key in keys and j.state() != "cancelled"]


def kube_kubectl(args, final):
    if args[0] == "create":
        pod = json.loads(pathlib.Path(args[args.index("-f") + 1]).read_text())
        container = pod["spec"]["containers"][0]
        key = pod["metadata"]["labels"]["parsl-job-id"]
        out = str(DIR / f"pod-{key}.log")
        submit(pod["metadata"]["name"], container["command"] + container["args"], out, out, key=key,
               env={e["name"]: e["value"] for e in container["env"]})
        print(f"pod/{pod['metadata']['name']} created")
    elif args[0] == "get":
        items = []
        for job in kube_selected(args):
            status = {"phase": PHASES[job.state()]}
            if job.code() is not None:
                status["containerStatuses"] = [{"state": {"terminated": {"exitCode": job.code()}}}]
            items.append({"metadata": {"labels": {"parsl-job-id": job.key}}, "status": status})
        print(json.dumps({"apiVersion": "v1", "items": items, "kind": "List"}))
    elif args[0] == "logs":
        for job in kube_selected(args):
            print((DIR / f"pod-{job.key}.log").read_text(), end="")
    elif args[0] == "delete":
        cancel_all(kube_selected(args))


SYSTEMS = {
    "pbspro": {"qsub": pbs_qsub, "qstat": pbs_qstat, "qdel": pbs_qdel, "qselect": pbs_qselect},
    "torque": {"qsub": pbs_qsub, "qstat": pbs_qstat, "qdel": pbs_qdel, "qselect": pbs_qselect},
    "slurm": {"sbatch": slurm_sbatch, "sacct": slurm_sacct, "squeue": slurm_squeue,
              "scancel": slurm_scancel},
    "lsf": {"bsub": lsf_bsub, "bjobs": lsf_bjobs, "bkill": lsf_bkill},
    "sge": {"qsub": sge_qsub, "qstat": sge_qstat, "qdel": sge_qdel},
    "condor": {"condor_submit": condor_submit, "condor_q": condor_q, "condor_rm": condor_rm},
    "cobalt": {"qsub": cobalt_qsub, "qstat": cobalt_qstat, "qdel": sge_qdel},
    "kubernetes": {"kubectl": kube_kubectl},
}
STATUS = {"qstat", "sacct", "squeue", "bjobs", "condor_q"}


def main():
    system, command, *args = sys.argv[1:]
    with open(DIR / "log", "a") as log:
        log.write(shlex.join([command, *args]) + "\n")
    asks = command in STATUS or (command == "kubectl" and args[0] == "get")
    if fault("down"):
        fail("cannot connect to the server", 255)
    if asks:
        pause("slow-status")
    if asks and fault("garbage"):
        noise = b"\x00\xff\xfe{]\"\n /usr/lib/motd: 99% full %s\n\x1b[31m" * 20
        with open(1, "wb") as out:
            for _ in range(max(1, int(float(fault("garbage")) * 1e6 / len(noise)))):
                out.write(noise)
        sys.exit(0)
    SYSTEMS[system][command](args, "F" if system == "pbspro" else "C")


if __name__ == "__main__":
    main()
