"""Real servers for the server namespace of a lab: nginx, iperf3, nc."""
import os
import random

FILE_BYTES = 8 << 20
SLOW_BYTES = 64 << 10


def start_nginx(space, ports=(80,), file_bytes=FILE_BYTES):
    """nginx in one process, with /file (random bytes, `file_bytes` of them) and /slow (takes a second);
    returns the path of the file."""
    folder = os.path.join(space.lab.folder, "www")
    os.makedirs(folder, exist_ok=True)
    os.chmod(space.lab.folder, 0o755)
    file = os.path.join(folder, "file")
    with open(file, "wb") as out:
        out.write(random.Random(1).randbytes(file_bytes))
    with open(os.path.join(folder, "slow"), "wb") as out:
        out.write(bytes(SLOW_BYTES))
    listens = " ".join(f"listen {port}; listen [::]:{port};" for port in ports)
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};"
                         for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = space.lab.write("nginx.conf", f"""
        daemon off; master_process off; user root; pid {folder}/nginx.pid; error_log {folder}/error.log;
        events {{ worker_connections 2048; }}
        http {{ access_log off; {temporary} server {{ {listens} root {folder}; dav_methods PUT;
                client_max_body_size 64m;
                location /slow {{ limit_rate {SLOW_BYTES // 2}; limit_rate_after {SLOW_BYTES // 2}; }} }} }}
        """)
    space.start("nginx", "-e", f"{folder}/error.log", "-c", config)
    for port in ports:
        space.wait_for_listener(port)
    return file


def start_iperf3(space, port=5201):
    server = space.start("iperf3", "-s", "-p", port)
    space.wait_for_listener(port)
    return server


def start_listener(space, port, udp=False):
    """nc that accepts one connection after the other (IPv4 and IPv6)."""
    for family in ("-4", "-6"):
        space.start("nc", family, "-lku" if udp else "-lk", port)
    space.wait_for_listener(port, udp)
