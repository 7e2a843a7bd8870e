//! `setup.ini`: what the server of a school was set up as.
//!
//! # Invariants
//!
//! It may hold passwords: only the keys that are asked for here are kept, and no value appears in an error.

use schema::name::Domain;
use schema::text::PlainText;

use super::lines;

/// What a server was set up as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Its name without the domain.
    pub server: Domain,
    /// Its domain.
    pub domain: Domain,
    /// What people call the school.
    pub title: Option<PlainText>,
}

impl Setup {
    /// Reads the section `[setup]`.
    ///
    /// # Errors
    ///
    /// The key that is missing or cannot be used.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut is_setup = false;
        let (mut server, mut domain, mut title) = (None, None, None);
        for (_, line) in lines(text) {
            let line = line.trim();
            if line.starts_with('[') {
                is_setup = line.eq_ignore_ascii_case("[setup]");
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| is_setup) else {
                continue;
            };
            let value = value.trim().to_owned();
            match key.trim().to_ascii_lowercase().as_str() {
                "servername" => server = Some(value),
                "domainname" => domain = Some(value),
                "schoolname" => title = Some(value),
                _ => {}
            }
        }
        let named = |key: &str, value: Option<String>| -> Result<Domain, String> {
            let value = value.ok_or_else(|| format!("there is no `{key}` in [setup]"))?;
            let value = value.to_ascii_lowercase().parse();
            value.map_err(|_| format!("`{key}` is no name: letters, digits, dashes and dots"))
        };
        Ok(Self {
            server: named("servername", server)?,
            domain: named("domainname", domain)?,
            title: title.and_then(|title| title.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn the_names_of_a_server_are_read_and_nothing_else() {
        let text = b"[other]\nservername = wrong\n[setup]\r\nserverName = Server\ndomainname = BS-Nord.example\n\
            schoolname = Berufsschule Nord\nadminpw = secret\n";
        let setup = Setup::parse(text).unwrap();
        assert_eq!(setup.server.as_str(), "server");
        assert_eq!(setup.domain.as_str(), "bs-nord.example");
        assert_eq!(setup.title.unwrap().as_str(), "Berufsschule Nord");
    }

    #[test]
    fn what_is_missing_or_cannot_be_used_is_named() {
        let missing = Setup::parse(b"[setup]\nservername = server\n").unwrap_err();
        assert_eq!(missing, "there is no `domainname` in [setup]");
        let wrong = Setup::parse(b"[setup]\nservername = a b\ndomainname = c\n").unwrap_err();
        assert_eq!(
            wrong,
            "`servername` is no name: letters, digits, dashes and dots"
        );
        assert!(Setup::parse(b"\xff\x00[setup").is_err());
        let untitled = b"[setup]\nservername = a\ndomainname = b\nschoolname =\n";
        assert_eq!(Setup::parse(untitled).unwrap().title, None);
    }
}
