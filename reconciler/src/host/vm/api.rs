//! The REST API of Proxmox VE, version 7 and later, with an API token.
//!
//! The reason for an error stands in the status line of older versions, and in `message` of newer ones. An order is
//! answered at once with the identity of its task, whatever becomes of it.

use std::error::Error as _;
use std::fs;
use std::time::{Duration, Instant};

use hyper::ext::ReasonPhrase;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use schema::device::VmId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Machine, Order, Power, Refusal, VmError, has_tag, trust};
use crate::config::ProxmoxApi;

/// How long one answer may take. A wrong token is answered after three seconds.
const ANSWER: Duration = Duration::from_secs(30);
/// Far more than any answer that is asked for.
const LONGEST: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    url: String,
    token: HeaderValue,
}

/// What every answer is wrapped in.
#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    errors: Option<serde_json::Map<String, serde_json::Value>>,
}

/// One machine in the list of all that the token may see.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    vmid: Option<u32>,
    #[serde(default)]
    node: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    status: String,
    #[serde(default)]
    lock: Option<String>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    tags: Option<String>,
}

#[derive(Deserialize)]
struct Task {
    status: String,
    #[serde(default)]
    exitstatus: Option<String>,
}

/// What an answer was, when it was none of success.
struct Failure {
    status: StatusCode,
    why: String,
}

impl Api {
    pub(super) fn new(access: &ProxmoxApi) -> Result<Self, VmError> {
        let setting = "proxmox.token_file";
        let path = &access.token_file;
        let text = fs::read_to_string(path).map_err(VmError::read(setting, path))?;
        let token = text.trim();
        let is_token = token
            .split_once('=')
            .is_some_and(|(id, secret)| id.contains('@') && id.contains('!') && !secret.is_empty());
        if !is_token || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = "write user@realm!token=secret into it, on one line";
            return Err(VmError::file(setting, path, why));
        }
        let mut token = HeaderValue::from_str(&format!("PVEAPIToken={token}"))
            .map_err(|error| VmError::file(setting, path, error))?;
        token.set_sensitive(true);
        let client = Client::builder()
            .tls_backend_preconfigured(trust::tls(&access.trust)?)
            .redirect(reqwest::redirect::Policy::none())
            .https_only(true)
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            .timeout(ANSWER)
            .build();
        Ok(Self {
            client: client.map_err(|error| VmError::Strange {
                place: access.url.clone(),
                what: causes(&error),
            })?,
            url: access.url.clone(),
            token,
        })
    }

    pub(super) fn place(&self) -> String {
        self.url.clone()
    }

    pub(super) async fn look(&self, id: VmId) -> Result<Machine, VmError> {
        let node = self.node_of(id).await?;
        let of = format!("/nodes/{node}/qemu/{id}");
        let status: Status = self.get(id, &format!("{of}/status/current")).await?;
        let settings: Settings = self.get(id, &format!("{of}/config")).await?;
        Ok(Machine {
            id,
            name: settings.name.and_then(|name| name.parse().ok()),
            power: match status.status.as_str() {
                "stopped" => Power::Off,
                _ => Power::On,
            },
            lock: status.lock.filter(|lock| !lock.is_empty()),
            is_tagged: settings.tags.is_some_and(|tags| has_tag(&tags)),
        })
    }

    /// The node that a machine is on: it changes when the machine is migrated.
    async fn node_of(&self, id: VmId) -> Result<String, VmError> {
        let all: Vec<Listed> = self.get(id, "/cluster/resources?type=vm").await?;
        let mut machines = all
            .into_iter()
            .filter(|listed| listed.kind.as_deref() == Some("qemu"));
        let found = machines.find(|listed| listed.vmid == Some(id.get()));
        let node = found
            .and_then(|listed| listed.node)
            .ok_or_else(|| VmError::NotThere {
                id,
                place: self.place(),
                hint: ", or the token has no VM.Audit on it",
            })?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if node.is_empty() || !node.chars().all(is_name) {
            return Err(self.strange("a node with an unusual name"));
        }
        Ok(node)
    }

    pub(super) async fn order(
        &self,
        id: VmId,
        order: Order,
        pause: Duration,
    ) -> Result<(), VmError> {
        let word = order.word();
        let node = self.node_of(id).await?;
        let body = match order {
            Order::ShutDown(within) => format!("timeout={}", within.as_secs()),
            Order::Start | Order::Stop => String::new(),
        };
        let path = format!("/nodes/{node}/qemu/{id}/status/{word}");
        let answer = self.ask::<String>(Method::POST, &path, body).await;
        let upid = answer.map_err(|failure| self.judged(id, word, failure))?;
        let task = format!("/nodes/{node}/tasks/{}/status", encoded(&upid?));
        let begun = Instant::now();
        loop {
            match self.ask::<Task>(Method::GET, &task, String::new()).await {
                Ok(task) => {
                    let task = task?;
                    if task.status == "stopped" {
                        return self.ended(id, word, task.exitstatus.as_deref());
                    }
                }
                // A task is not to be found right after it began, and when its node began anew. What became of it,
                // the machine tells.
                Err(Failure { status, .. })
                    if status == StatusCode::BAD_REQUEST && begun.elapsed() < ANSWER => {}
                Err(Failure { status, .. }) if status != StatusCode::UNAUTHORIZED => return Ok(()),
                Err(failure) => return Err(self.judged(id, word, failure)),
            }
            if begun.elapsed() > order.deadline() {
                return Err(VmError::TooSlow {
                    id,
                    order: word,
                    minutes: order.deadline().as_secs() / 60,
                });
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn ended(&self, id: VmId, order: &'static str, exit: Option<&str>) -> Result<(), VmError> {
        match exit {
            Some(exit) if exit == "OK" || exit.starts_with("WARNINGS") => Ok(()),
            Some(exit) => Err(VmError::said(id, order, &self.place(), exit)),
            None => Err(self.strange("a task that ended without a result")),
        }
    }

    async fn get<T: DeserializeOwned>(&self, id: VmId, path: &str) -> Result<T, VmError> {
        match self.ask(Method::GET, path, String::new()).await {
            Ok(answer) => answer,
            Err(failure) => Err(self.judged(id, "look at", failure)),
        }
    }

    /// Asks. What is no answer at all is the inner error; what Proxmox refuses is the outer one.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Result<T, VmError>, Failure> {
        let request = self
            .client
            .request(method, format!("{}/api2/json{path}", self.url))
            .header(AUTHORIZATION, self.token.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(self.unreachable(&error))),
        };
        let status = answer.status();
        let phrase = answer.extensions().get::<ReasonPhrase>().cloned();
        let mut bytes = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Ok(Err(self.unreachable(&error))),
            }
            if bytes.len() > LONGEST {
                return Ok(Err(self.strange("an answer without end")));
            }
        }
        if !status.is_success() {
            let why = reason(status, phrase.as_ref(), &bytes);
            return Err(Failure { status, why });
        }
        let read = serde_json::from_slice::<Answer<T>>(&bytes);
        Ok(match read {
            Ok(Answer { data: Some(data) }) => Ok(data),
            Ok(Answer { data: None }) => Err(self.strange("an answer without data")),
            Err(error) => Err(self.strange(&error.to_string())),
        })
    }

    fn judged(&self, id: VmId, order: &'static str, Failure { status, why }: Failure) -> VmError {
        let place = self.place();
        match status.as_u16() {
            401 => VmError::Refused {
                place,
                why,
                refusal: Refusal::Login,
            },
            403 => VmError::Refused {
                place,
                why,
                refusal: Refusal::Privilege,
            },
            // Of the proxy in front of a node that does not answer.
            595..=599 => VmError::Unreachable { place, why },
            500 => VmError::said(id, order, &place, &why),
            _ => VmError::Refused {
                place,
                why,
                refusal: Refusal::Other,
            },
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> VmError {
        VmError::Unreachable {
            place: self.place(),
            why: causes(error),
        }
    }

    fn strange(&self, what: &str) -> VmError {
        VmError::Strange {
            place: self.place(),
            what: what.to_owned(),
        }
    }
}

/// Why Proxmox refuses, in its own words.
fn reason(status: StatusCode, phrase: Option<&ReasonPhrase>, body: &[u8]) -> String {
    let fault = serde_json::from_slice::<Fault>(body).ok();
    let (message, errors) = match fault {
        Some(Fault { message, errors }) => (message, errors.unwrap_or_default()),
        None => Default::default(),
    };
    let phrase = phrase.map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned());
    let mut why = message.or(phrase).unwrap_or_else(|| status.to_string());
    for (parameter, error) in errors {
        why += &format!("; {parameter}: {}", error.as_str().unwrap_or_default());
    }
    why.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(400)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// An error with all that caused it: what reqwest says itself is only that something went wrong.
fn causes(error: &reqwest::Error) -> String {
    let mut deepest = error.source();
    while let Some(next) = deepest.and_then(std::error::Error::source) {
        deepest = Some(next);
    }
    deepest.map_or_else(|| error.to_string(), ToString::to_string)
}

/// The identity of a task as a part of a path.
fn encoded(upid: &str) -> String {
    let mut path = String::with_capacity(upid.len() + 30);
    for byte in upid.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path += &format!("%{byte:02X}");
        }
    }
    path
}
