//! Hands letters to the mail relay.
//!
//! # Invariants
//!
//! A letter counts as sent when the relay took it for at least one recipient: one wrong address does
//! not silence the others. The password is in no message and no log.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls as Security, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error};
use lettre::{AsyncTransport as _, Tokio1Executor};
use schema::fleet::Mail;
use schema::text::MailAddress;

use crate::config::{Smtp, Tls};
use crate::world::{Letter, Readers};

/// How long the relay may take for one letter.
const TIMEOUT: Duration = Duration::from_secs(60);

const AGAIN: &str = "It is tried again with the next pass.";

/// Hands a letter to the relay, for the fleet's administrators and the school's contact, or for whom it is meant.
///
/// # Errors
///
/// When an address or the login cannot be used, or when the relay took the letter for nobody.
pub async fn send(
    smtp: &Smtp,
    mail: &Mail,
    contact: Option<&MailAddress>,
    letter: &Letter,
) -> anyhow::Result<()> {
    let relay = format!("the mail relay {}:{}", smtp.host, smtp.port);
    let mut recipients: Vec<Mailbox> = Vec::new();
    let administrators = match (letter.readers, contact) {
        (Readers::Staff, Some(_)) => &[],
        (Readers::Staff | Readers::Administrators, _) => mail.to.as_slice(),
    };
    for address in administrators.iter().chain(contact) {
        let mailbox = mailbox(address)?;
        if !recipients.contains(&mailbox) {
            recipients.push(mailbox);
        }
    }
    let from = mailbox(smtp.from.as_ref().unwrap_or(&mail.from))?;
    let transport = transport(smtp)?;
    let one = |to: &[Mailbox]| {
        let message = message(&from, to, letter);
        let (transport, relay) = (&transport, &relay);
        async move {
            match tokio::time::timeout(TIMEOUT, transport.send(message?)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(Refusal {
                    is_final: error.is_permanent(),
                    error: refused(&error, relay),
                }),
                Err(_) => Err(Refusal {
                    is_final: false,
                    error: anyhow!(
                        "{relay} did not take the letter within {} seconds. {AGAIN}",
                        TIMEOUT.as_secs()
                    ),
                }),
            }
        }
    };
    let refusal = match one(&recipients).await {
        Err(refusal) if refusal.is_final && recipients.len() > 1 => refusal,
        result => return result.map_err(|refusal| refusal.error),
    };
    // The relay refuses the whole letter for one address that it does not like.
    let mut taken = false;
    for recipient in &recipients {
        match one(std::slice::from_ref(recipient)).await {
            Ok(()) => taken = true,
            Err(Refusal { error, .. }) => {
                tracing::warn!("no letter to {}: {error:#}", recipient.email);
            }
        }
    }
    if taken { Ok(()) } else { Err(refusal.error) }
}

/// Why a letter was not taken, and whether the relay said that it never will be.
struct Refusal {
    is_final: bool,
    error: anyhow::Error,
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self {
            is_final: false,
            error,
        }
    }
}

fn mailbox(address: &MailAddress) -> anyhow::Result<Mailbox> {
    address
        .as_str()
        .parse()
        .with_context(|| format!("`{address}` is no address that mail can be sent to"))
}

fn message(from: &Mailbox, to: &[Mailbox], letter: &Letter) -> anyhow::Result<Message> {
    let generated = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    );
    let head = Message::builder()
        .from(from.clone())
        .subject(letter.subject.replace(['\r', '\n'], " "))
        .date_now()
        .message_id(None)
        .raw_header(generated)
        .header(ContentType::TEXT_PLAIN);
    to.iter()
        .cloned()
        .fold(head, lettre::message::MessageBuilder::to)
        .body(letter.body.clone())
        .context("the letter cannot be put into the form of a mail")
}

fn transport(smtp: &Smtp) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let certificates = || {
        TlsParameters::new(smtp.host.clone())
            .with_context(|| format!("no secured connection to {} can be made", smtp.host))
    };
    let security = match smtp.tls {
        Tls::None => Security::None,
        Tls::Starttls => Security::Required(certificates()?),
        Tls::Tls => Security::Wrapper(certificates()?),
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.host.clone())
        .port(smtp.port.get())
        .tls(security)
        .timeout(Some(TIMEOUT));
    let Some((user, file)) = &smtp.login else {
        return Ok(builder.build());
    };
    let password = std::fs::read_to_string(file).with_context(|| {
        format!(
            "the password for the mail relay cannot be read from {}",
            file.display()
        )
    })?;
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    Ok(builder
        .credentials(Credentials::new(user.clone(), password))
        .build())
}

fn refused(error: &Error, relay: &str) -> anyhow::Error {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let text = source.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = source.source();
    }
    anyhow!("{relay} did not take the letter: {said}. {AGAIN}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::num::NonZeroU16;
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    type Seen = Arc<Mutex<Vec<String>>>;

    /// Answers like a relay; `refuse` names the beginning of a line and the answer to it.
    async fn serve(stream: TcpStream, refuse: Option<(&str, &str)>, seen: Seen) -> Option<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 sink\r\n").await.ok()?;
        let mut in_data = false;
        while let Some(line) = lines.next_line().await.ok()? {
            seen.lock().unwrap().push(line.clone());
            let answer = match &line {
                _ if in_data && line != "." => continue,
                _ if line == "." => "250 taken",
                line if refuse.is_some_and(|(begin, _)| line.starts_with(begin)) => refuse?.1,
                line if line.starts_with("EHLO") => "250-sink\r\n250 AUTH PLAIN",
                line if line.starts_with("AUTH") => "235 welcome",
                line if line == "DATA" => "354 go on",
                _ => "250 well",
            };
            in_data = line == "DATA";
            if answer.is_empty() {
                return None;
            }
            write
                .write_all(format!("{answer}\r\n").as_bytes())
                .await
                .ok()?;
        }
        Some(())
    }

    async fn sink(refuse: Option<(&'static str, &'static str)>) -> (Smtp, Seen) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = NonZeroU16::new(listener.local_addr().unwrap().port()).unwrap();
        let seen = Seen::default();
        let inner = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, refuse, Arc::clone(&inner)));
            }
        });
        let host = "127.0.0.1".to_owned();
        let smtp = Smtp {
            host,
            port,
            tls: Tls::None,
            login: None,
            from: None,
        };
        (smtp, seen)
    }

    fn mail() -> Mail {
        Mail {
            from: "reconcile@schule.example".parse().unwrap(),
            to: vec!["admin@schule.example".parse().unwrap()],
        }
    }

    fn letter() -> Letter {
        Letter {
            readers: Readers::Administrators,
            subject: "bs-nord: zwei PCs in Prüfung – r101".to_owned(),
            body: "pc03 schlug fehl.\n.\nGrüße\n".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_letter_arrives_whole_and_says_that_a_machine_wrote_it() {
        let (smtp, seen) = sink(None).await;
        let contact = "room@schule.example".parse().unwrap();
        send(&smtp, &mail(), Some(&contact), &letter())
            .await
            .unwrap();
        let text = seen.lock().unwrap().join("\n");
        let has = |part: &str| assert!(text.contains(part), "{part} in {text}");
        has("MAIL FROM:<reconcile@schule.example>");
        has("RCPT TO:<admin@schule.example>");
        has("RCPT TO:<room@schule.example>");
        has("Auto-Submitted: auto-generated");
        has("Message-ID: <");
        has("Date: ");
        has("Content-Type: text/plain; charset=utf-8");
        has("Subject: bs-nord: zwei PCs in =?utf-8?b?");
        // A dot alone on a line is doubled, so that it does not end the letter.
        has("\n..\n");
        assert_eq!(text.matches("RCPT TO").count(), 2, "nobody twice: {text}");
    }

    #[tokio::test]
    async fn what_is_for_staff_goes_to_their_contact_alone_if_there_is_one() {
        let letter = Letter {
            readers: Readers::Staff,
            ..letter()
        };
        let (contact, admin) = ("room@schule.example", "admin@schule.example");
        for (contact, wanted) in [(Some(contact), contact), (None, admin)] {
            let (smtp, seen) = sink(None).await;
            let contact = contact.map(|contact| contact.parse().unwrap());
            send(&smtp, &mail(), contact.as_ref(), &letter)
                .await
                .unwrap();
            let seen = seen.lock().unwrap();
            let recipients = seen.iter().filter(|line| line.starts_with("RCPT"));
            let wanted = [format!("RCPT TO:<{wanted}>")];
            assert!(recipients.eq(&wanted), "{seen:?}");
        }
    }

    #[tokio::test]
    async fn a_refusal_names_the_relay_and_its_answer() {
        for (begin, answer, wanted) in [
            ("MAIL FROM", "450 too busy now", "too busy now"),
            ("RCPT TO", "550 no such user here", "no such user here"),
            ("DATA", "", "did not take the letter"),
        ] {
            let (smtp, _) = sink(Some((begin, answer))).await;
            let error = send(&smtp, &mail(), None, &letter()).await.unwrap_err();
            let error = format!("{error:#}");
            let relay = format!("the mail relay 127.0.0.1:{} ", smtp.port);
            assert!(error.contains(&relay) && error.contains(wanted), "{error}");
            assert!(error.contains("again with the next pass"), "{error}");
        }
    }

    #[tokio::test]
    async fn one_wrong_address_does_not_silence_the_others() {
        let (smtp, seen) = sink(Some(("RCPT TO:<gone@", "550 no such user"))).await;
        let contact = "gone@schule.example".parse().unwrap();
        send(&smtp, &mail(), Some(&contact), &letter())
            .await
            .unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!(seen.iter().filter(|line| *line == ".").count(), 1);
    }

    #[tokio::test]
    async fn a_relay_that_is_not_there_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = NonZeroU16::new(listener.local_addr().unwrap().port()).unwrap();
        drop(listener);
        let (smtp, _) = sink(None).await;
        let error = send(&Smtp { port, ..smtp }, &mail(), None, &letter())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("refused"), "{error:#}");
    }

    #[tokio::test]
    async fn the_password_is_in_no_message() {
        let (smtp, seen) = sink(Some(("AUTH", "535 wrong"))).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "geheim123\n").unwrap();
        let login = Some(("user".to_owned(), file.clone()));
        let smtp = Smtp { login, ..smtp };
        let error = send(&smtp, &mail(), None, &letter()).await.unwrap_err();
        assert!(!format!("{error:#} {error:?}").contains("geheim"));
        assert!(seen.lock().unwrap().iter().any(|l| l.starts_with("AUTH")));
        std::fs::remove_file(&file).unwrap();
        let error = send(&smtp, &mail(), None, &letter()).await.unwrap_err();
        assert!(
            error.to_string().contains("password for the mail relay"),
            "{error:#}"
        );
    }
}
