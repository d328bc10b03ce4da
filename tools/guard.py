"""What student code may touch while it is graded: its own folder and the packages, no other process, no network.

`tools/grade.py` puts this file among the start-up files of the kernel that runs a submission. What Python itself opens,
lists, changes or starts passes `sys.addaudithook`, which cannot be taken off; what is refused is written to a log.
It is a fence, not a wall: code in C can go around it. The other students' work is not in the course that it runs in.
"""


def fence(own: list[str], log: str):
    "Refuses, from now on, everything outside the folders `own`, except that packages and the system may be read."
    import importlib.util
    import json
    import os
    import re
    import sys

    def real(path):
        return os.path.normcase(os.path.realpath(path))

    def inside(path, folders):
        return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)

    adrec = importlib.util.find_spec("adrec")
    listed = {real(path or ".") for path in sys.path}
    packages = [sys.prefix, sys.base_prefix, *(path for path in listed if os.path.basename(path).endswith("-packages")),
                *(path for path in listed if os.path.exists(os.path.join(path, "encodings"))),
                *(adrec.submodule_search_locations if adrec else [])]
    system = ["/usr", "/lib", "/lib64", "/sys", "/System/Library", "/Library/Fonts", "/etc/fonts", "/etc/localtime", "/etc/ssl",
              "/etc/mime.types", "/etc/os-release", os.environ.get("WINDIR", "/usr")]
    own, readable = [real(path) for path in own], [real(path) for path in [*packages, *system]]
    device = re.compile(rf"/dev/(null|zero|full|u?random|shm/.*)|/proc/({os.getpid()}(/.*)?|\w*info|stat|version|sys/.*)")
    reads = {"os.listdir", "os.scandir", "open", "sqlite3.connect", "os.chdir"}
    changes = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate",
               "os.utime", "os.lchown", "os.mkfifo", "os.mknod", "os.setxattr", "os.removexattr"}
    never = {"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile",
             "_winapi.CreateProcess",
             "os.kill", "os.killpg", "pty.spawn", "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg",
             "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"}
    usual = re.compile(r"\b(fc-list|ldconfig|uname|gcc|cc|ld|lscpu)\b")  # asked by packages at import; refused, but no news
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    said = set()

    def refuse(event, what):
        text = f"refused: {event} {str(what)[:300]}".strip()
        if len(said) < 30 and text not in said and not usual.search(str(what)):
            said.add(text)
            os.write(file, (json.dumps(text) + "\n").encode())
        raise PermissionError(f"not allowed while grading: {event} {what}")

    def hook(event, arguments):
        if event in never:
            if event.startswith("socket.") and sys.platform == "win32" and "127.0.0.1" in str(arguments):
                return  # how Windows makes the pair of sockets that an event loop needs
            told = {"socket.connect": -1, "subprocess.Popen": 1}.get(event, 0)  # which argument says most; os.fork has none
            refuse(event, arguments[told] if arguments else "")
        if event not in reads and event not in changes:
            return
        paths = arguments[:2] if event in ("os.rename", "os.link", "os.symlink") else arguments[:1]
        for path in paths:
            if isinstance(path, int) or (path is None and event != "os.listdir") or path == ":memory:":
                continue
            path = real(os.fsdecode(path) if path is not None else ".")
            if inside(path, own) or device.fullmatch(path):
                continue
            writes = event in changes or event == "sqlite3.connect" or event == "open" and (
                any(letter in str(arguments[1] or "") for letter in "wax+")
                or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
            if writes or not (inside(path, readable) or path in listed and event != "open"):
                refuse(event, path)

    sys.addaudithook(hook)
    if sys.platform != "win32":  # what multiprocessing starts programs with, and no hook hears of
        import _posixsubprocess
        _posixsubprocess.fork_exec = lambda arguments, *_: refuse("multiprocessing", arguments)
