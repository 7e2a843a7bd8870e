//! The file with the settings: what may stand in it, and all that is wrong with it at once.

use std::fmt;
use std::fs;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schema::diagnostic::{self, Diagnostic};
use schema::name::Domain;
use schema::read::{self, At};
use schema::text::MailAddress;
use schema::units::Length;
use serde::Deserialize;

use super::texts::{
    Absolute, ApiUrl, Branch, Fingerprint, Program, QmPlace, Secret, ServerName, User,
};
use super::{
    Commands, Config, Driver, Paths, Proxmox, ProxmoxApi, ProxmoxTrust, ReleaseLogin, Repo, Reset,
    Smtp, Tls,
};

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    diagnostics: Vec<Diagnostic>,
    /// The text of the file; none when it could not be read or must not be shown.
    source: Option<String>,
}

impl ConfigErrors {
    /// Each problem with the line in which it is, as people read it.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let source = self.source.as_deref();
        let all = self
            .diagnostics
            .iter()
            .map(|problem| diagnostic::render(problem, source, color));
        all.collect::<Vec<_>>().join("\n\n")
    }

    /// The problems, in the order of their places.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Reads the settings from a file. `credentials` is the folder with the secrets that systemd hands to
/// the service, if it does: its `CREDENTIALS_DIRECTORY`.
///
/// # Errors
///
/// When the file cannot be read, or with everything that is wrong with it.
pub fn load(path: &Path, credentials: Option<&Path>) -> Result<Config, ConfigErrors> {
    let file = path.display().to_string();
    let unreadable = |why: &dyn fmt::Display, hint: &str| {
        let problem = Diagnostic::error(
            "unreadable",
            file.clone(),
            None,
            format!("the settings cannot be read: {why}"),
        );
        ConfigErrors {
            diagnostics: vec![problem.with_hint(hint)],
            source: None,
        }
    };
    let bytes = fs::read(path).map_err(|error| {
        unreadable(
            &error,
            "reconciler.example.yaml shows what belongs into the file; --config names another one",
        )
    })?;
    let text =
        String::from_utf8(bytes).map_err(|error| unreadable(&error, "write the file as UTF-8"))?;
    parse(&file, &text, credentials)
}

/// Reads the settings from a text; `file` is its name in messages.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn parse(file: &str, text: &str, credentials: Option<&Path>) -> Result<Config, ConfigErrors> {
    let (document, diagnostics) = read::text::<Document>(file, text);
    let mut check = Check {
        file,
        credentials,
        diagnostics,
        is_secret: false,
    };
    let config = document.and_then(|document| check.config(document));
    let Check {
        mut diagnostics,
        is_secret,
        ..
    } = check;
    match config {
        Some(config) if diagnostics.is_empty() => Ok(config),
        _ => {
            diagnostic::sort(&mut diagnostics);
            Err(ConfigErrors {
                diagnostics,
                source: (!is_secret).then(|| text.to_owned()),
            })
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    server: At<ServerName>,
    repo: At<RepoDocument>,
    #[serde(default)]
    signers: At<Absolute>,
    #[serde(default)]
    release: At<ReleaseDocument>,
    #[serde(default)]
    smtp: At<SmtpDocument>,
    #[serde(default)]
    proxmox: At<ProxmoxDocument>,
    #[serde(default)]
    paths: At<PathsDocument>,
    #[serde(default)]
    commands: At<CommandsDocument>,
    #[serde(default)]
    reset: At<ResetDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepoDocument {
    url: At<String>,
    #[serde(default)]
    branch: At<Branch>,
    #[serde(default)]
    key: At<Secret>,
    #[serde(default)]
    known_hosts: At<Absolute>,
    #[serde(default)]
    user: At<User>,
    #[serde(default)]
    token_file: At<Secret>,
    #[serde(default)]
    ca: At<Absolute>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseDocument {
    user: At<User>,
    password_file: At<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SmtpDocument {
    host: At<Domain>,
    #[serde(default)]
    port: At<u16>,
    #[serde(default)]
    tls: At<TlsName>,
    #[serde(default)]
    user: At<User>,
    #[serde(default)]
    password_file: At<Secret>,
    #[serde(default)]
    from: At<MailAddress>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProxmoxDocument {
    #[serde(default)]
    url: At<ApiUrl>,
    #[serde(default)]
    token_file: At<Secret>,
    #[serde(default)]
    ca: At<Absolute>,
    #[serde(default)]
    fingerprint: At<Fingerprint>,
    #[serde(default)]
    qm: At<QmPlace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TlsName {
    None,
    Starttls,
    Tls,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DriverName {
    Wrapper,
    LinboRemote,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PathsDocument {
    linbo: At<Absolute>,
    store: At<Absolute>,
    linbo_log: At<Absolute>,
    ssh_config: At<Absolute>,
    devices: At<Absolute>,
    setup_ini: At<Absolute>,
    dhcp: At<Absolute>,
    state: At<Absolute>,
    run: At<Absolute>,
    calendar: At<Absolute>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CommandsDocument {
    rsync: At<Program>,
    ssh: At<Program>,
    tmux: At<Program>,
    wakeonlan: At<Program>,
    linbo_remote: At<Program>,
    linbo_torrent: At<Program>,
    import_devices: At<Program>,
    qemu_img: At<Program>,
    qm: At<Program>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ResetDocument {
    driver: At<DriverName>,
    boot_timeout: At<Length>,
    command_timeout: At<Length>,
    poll: At<Length>,
    os_port: At<u16>,
    windows_port: At<u16>,
    linbo_port: At<u16>,
}

/// What has to be looked at across values, and the document turned into settings.
struct Check<'a> {
    file: &'a str,
    credentials: Option<&'a Path>,
    diagnostics: Vec<Diagnostic>,
    /// Whether the file holds a secret, so that no line of it may be shown.
    is_secret: bool,
}

impl Check<'_> {
    /// The settings; none when something that they need is wrong, which has been noted then.
    fn config(&mut self, document: Document) -> Option<Config> {
        let server = document
            .server
            .into_inner()
            .map(|ServerName(server)| server);
        let repo = document.repo.into_inner().and_then(|repo| self.repo(repo));
        let release = document
            .release
            .into_inner()
            .map(|release| self.release(release));
        let smtp = document.smtp.into_inner().map(|smtp| self.smtp(smtp));
        let proxmox = document.proxmox.into_inner();
        let proxmox = proxmox.map(|proxmox| self.proxmox(proxmox));
        let paths = self.paths(document.paths.into_inner().unwrap_or_default());
        let reset = self.reset(document.reset.into_inner().unwrap_or_default());
        Some(Config {
            server: server?,
            repo: repo?,
            signers: document.signers.into_inner().map(|Absolute(path)| path),
            release: release.flatten(),
            smtp: smtp.flatten(),
            proxmox: proxmox.flatten(),
            paths,
            commands: commands(document.commands.into_inner().unwrap_or_default()),
            reset,
        })
    }

    fn repo(&mut self, repo: RepoDocument) -> Option<Repo> {
        self.url(&repo.url);
        let [key, token_file] = [repo.key, repo.token_file].map(|file| self.secret(file));
        Some(Repo {
            url: repo.url.into_inner()?,
            branch: repo
                .branch
                .into_inner()
                .map_or_else(|| "main".to_owned(), |Branch(branch)| branch),
            key,
            known_hosts: repo.known_hosts.into_inner().map(|Absolute(path)| path),
            user: repo
                .user
                .into_inner()
                .map_or_else(|| "reconcile".to_owned(), |User(user)| user),
            token_file,
            ca: repo.ca.into_inner().map(|Absolute(path)| path),
        })
    }

    fn url(&mut self, at: &At<String>) {
        let Some(url) = at.get() else { return };
        let user = url
            .split_once("://")
            .and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
        if user.is_some_and(|(user, _)| user.contains(':')) {
            self.is_secret = true;
            let line = at.span().map_or(1, |span| span.line);
            let problem = format!("repo.url in line {line} holds a password");
            let hint = "put the token into a file that only root can read, name it in repo.token_file, and the user in repo.user";
            self.diagnostics
                .push(Diagnostic::error("secret", self.file, None, problem).with_hint(hint));
            return;
        }
        let known = ["https://", "ssh://", "file:///"]
            .iter()
            .any(|scheme| url.starts_with(scheme));
        if !known || url.contains(|c: char| c.is_control() || c.is_whitespace()) {
            self.wrong(
                at,
                "this is no URL of a repo that can be used",
                "begin with https://, ssh:// or file:///",
            );
        }
    }

    fn release(&mut self, release: ReleaseDocument) -> Option<ReleaseLogin> {
        if release
            .user
            .get()
            .is_some_and(|User(user)| user.contains('@'))
        {
            self.wrong(
                &release.user,
                "a user of the release module has no `@`",
                "write the name alone",
            );
        }
        let password_file = self.secret(release.password_file);
        let User(user) = release.user.into_inner()?;
        Some(ReleaseLogin {
            user,
            password_file: password_file?,
        })
    }

    fn smtp(&mut self, smtp: SmtpDocument) -> Option<Smtp> {
        let tls = match smtp.tls.get() {
            None | Some(TlsName::None) => Tls::None,
            Some(TlsName::Starttls) => Tls::Starttls,
            Some(TlsName::Tls) => Tls::Tls,
        };
        let is_local = smtp
            .host
            .get()
            .is_none_or(|host| matches!(host.as_str(), "localhost" | "127.0.0.1"));
        if tls == Tls::None && !is_local && !smtp.user.is_absent() {
            self.wrong(
                &smtp.user,
                "the password would travel in the clear",
                "add `tls: starttls` or `tls: tls`",
            );
        }
        if smtp.user.is_absent() && !smtp.password_file.is_absent() {
            self.wrong(
                &smtp.password_file,
                "a password without a user",
                "add `user`, or remove `password_file`",
            );
        }
        if !smtp.user.is_absent() && smtp.password_file.is_absent() {
            self.wrong(
                &smtp.user,
                "a user without a password",
                "add `password_file`, or remove `user`",
            );
        }
        let port = self.port(smtp.port, const { NonZeroU16::new(25).unwrap() });
        let password = self.secret(smtp.password_file);
        Some(Smtp {
            host: smtp.host.into_inner()?.as_str().to_owned(),
            port,
            tls,
            login: smtp.user.into_inner().map(|User(user)| user).zip(password),
            from: smtp.from.into_inner(),
        })
    }

    fn proxmox(&mut self, proxmox: ProxmoxDocument) -> Option<Proxmox> {
        let is_whole = !proxmox.url.is_absent() && !proxmox.token_file.is_absent();
        let token_file = self.secret(proxmox.token_file);
        if !proxmox.qm.is_absent() {
            let others = [
                proxmox.url.span(),
                proxmox.ca.span(),
                proxmox.fingerprint.span(),
            ];
            if others.iter().any(Option::is_some) || token_file.is_some() {
                let hint = "drop `qm`, or all other keys";
                self.wrong(&proxmox.qm, "`qm` needs no API", hint);
            }
            let QmPlace(place) = proxmox.qm.into_inner()?;
            return Some(Proxmox::Qm(place));
        }
        if !proxmox.ca.is_absent() && !proxmox.fingerprint.is_absent() {
            let hint = "with a fingerprint no CA is asked: drop one of both";
            self.wrong(&proxmox.ca, "the certificate is judged twice", hint);
        }
        let trust = match (proxmox.ca.into_inner(), proxmox.fingerprint.into_inner()) {
            (_, Some(Fingerprint(digest))) => ProxmoxTrust::Fingerprint(digest),
            (Some(Absolute(path)), None) => ProxmoxTrust::Ca(path),
            (None, None) => ProxmoxTrust::System,
        };
        if !is_whole {
            let problem = "proxmox: it is not said how to reach Proxmox";
            let hint = "write `url` and `token_file`, or `qm`";
            let problem = Diagnostic::error("missing-key", self.file, None, problem);
            self.diagnostics.push(problem.with_hint(hint));
        }
        let ApiUrl(url) = proxmox.url.into_inner()?;
        Some(Proxmox::Api(ProxmoxApi {
            url,
            token_file: token_file?,
            trust,
        }))
    }

    fn paths(&mut self, paths: PathsDocument) -> Paths {
        let default = Paths::default();
        let store = paths.store.as_ref().map(|_| ());
        let path =
            |at: At<Absolute>, default| at.into_inner().map_or(default, |Absolute(path)| path);
        let state = path(paths.state, default.state);
        let paths = Paths {
            calendar: path(paths.calendar, state.join("calendar.ics")),
            linbo: path(paths.linbo, default.linbo),
            store: path(paths.store, default.store),
            linbo_log: path(paths.linbo_log, default.linbo_log),
            ssh_config: path(paths.ssh_config, default.ssh_config),
            devices: path(paths.devices, default.devices),
            setup_ini: path(paths.setup_ini, default.setup_ini),
            dhcp: path(paths.dhcp, default.dhcp),
            state,
            run: path(paths.run, default.run),
        };
        if paths.store.starts_with(&paths.linbo) {
            let hint = "LINBO's tools would take what lies there for images: use a folder beside it, on the same file system";
            self.wrong(&store, "the store lies inside LINBO's folder", hint);
        }
        paths
    }

    fn reset(&mut self, reset: ResetDocument) -> Reset {
        let default = Reset::default();
        Reset {
            driver: match reset.driver.into_inner() {
                Some(DriverName::LinboRemote) => Driver::LinboRemote,
                Some(DriverName::Wrapper) => Driver::Wrapper,
                None => default.driver,
            },
            boot_timeout: self.time(reset.boot_timeout, default.boot_timeout),
            command_timeout: self.time(reset.command_timeout, default.command_timeout),
            poll: self.time(reset.poll, default.poll),
            os_port: self.port(reset.os_port, default.os_port),
            windows_port: self.port(reset.windows_port, default.windows_port),
            linbo_port: self.port(reset.linbo_port, default.linbo_port),
        }
    }

    fn time(&mut self, at: At<Length>, default: Duration) -> Duration {
        if at.get().is_some_and(|length| length.seconds() == 0) {
            self.wrong(
                &at,
                "nothing happens within no time",
                "write at least `1 s`",
            );
        }
        at.into_inner()
            .map_or(default, |length| Duration::from_secs(length.seconds()))
    }

    fn port(&mut self, at: At<u16>, default: NonZeroU16) -> NonZeroU16 {
        let Some(port) = at.get() else { return default };
        NonZeroU16::new(*port).unwrap_or_else(|| {
            self.wrong(&at, "there is no port 0", "1 to 65535 are possible");
            default
        })
    }

    fn secret(&mut self, at: At<Secret>) -> Option<PathBuf> {
        match at.get()? {
            Secret::File(path) => Some(path.clone()),
            Secret::Credential(name) => {
                let path = self.credentials.map(|folder| folder.join(name));
                if path.is_none() {
                    let message = format!(
                        "the credential {name} is not there: systemd handed no credentials over"
                    );
                    let hint = "run `reconcile` as its service, which has LoadCredential=, or write the path of a file";
                    self.wrong(&at, &message, hint);
                }
                path
            }
        }
    }

    fn wrong<T>(&mut self, at: &At<T>, message: &str, hint: &str) {
        let problem = Diagnostic::error("invalid-value", self.file, at.span(), message);
        self.diagnostics.push(problem.with_hint(hint));
    }
}

fn commands(commands: CommandsDocument) -> Commands {
    let default = Commands::default();
    let program = |at: At<Program>, default| at.into_inner().map_or(default, |Program(path)| path);
    Commands {
        rsync: program(commands.rsync, default.rsync),
        ssh: program(commands.ssh, default.ssh),
        tmux: program(commands.tmux, default.tmux),
        wakeonlan: program(commands.wakeonlan, default.wakeonlan),
        linbo_remote: program(commands.linbo_remote, default.linbo_remote),
        linbo_torrent: program(commands.linbo_torrent, default.linbo_torrent),
        import_devices: program(commands.import_devices, default.import_devices),
        qemu_img: program(commands.qemu_img, default.qemu_img),
        qm: program(commands.qm, default.qm),
    }
}
