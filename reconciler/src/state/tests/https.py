"""Git's own http-backend behind TLS and a password. Arguments: certificate, key, repos, backend."""
import base64, http.server, os, ssl, subprocess, sys

CERT, KEY, REPOS, BACKEND = sys.argv[1:]
PASSWORD = "Basic " + base64.b64encode(b"bot:s3cret").decode()


class Git(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *_):
        pass

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", self.path.replace("/moved/", "/", 1))
            self.end_headers()
            return
        if path.startswith("/away/"):
            port = self.server.server_address[1]
            self.send_response(302)
            self.send_header("Location", f"https://127.0.0.1:{port}{self.path[5:]}")
            self.end_headers()
            return
        if path.startswith("/broken/"):
            self.send_error(503)
            return
        if self.headers.get("Authorization") != PASSWORD:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        length = int(self.headers.get("Content-Length") or 0)
        env = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": REPOS, "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(length),
        }
        out = subprocess.run([BACKEND], input=self.rfile.read(length), env=env,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        head, _, body = out.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((value for name, value in lines if name == "Status"), "200")
        self.send_response(int(status.split()[0]))
        for name, value in lines:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Git)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERT, KEY)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
