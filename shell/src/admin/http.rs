//! One question to the admin port of a node.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::Exit;

use super::AdminArgs;

/// The port of the operators.
pub(crate) const ADMIN_PORT: u16 = 7080;
/// A change of the metadata takes up to ten seconds on the node.
const LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// No answer is longer.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// Why a node's answer cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// Nobody answers.
    #[error("cannot reach {node}: {why}")]
    Unreachable {
        /// Who was asked.
        node: String,
        /// What went wrong.
        why: String,
    },
    /// The node says no.
    #[error("{node}: {message}")]
    Refused {
        /// Who was asked.
        node: String,
        /// Its own words.
        message: String,
    },
    /// The answer cannot be understood.
    #[error("{node} answered what is not understood: {why}")]
    Malformed {
        /// Who was asked.
        node: String,
        /// What is wrong.
        why: String,
    },
}

impl AdminError {
    /// How a command ends that ends by this.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Refused { .. } | Self::Malformed { .. } => Exit::Failed,
        }
    }
}

/// The text of an answer, and who gave it.
pub(super) struct Answer {
    node: String,
    text: String,
}

impl Answer {
    /// Asks for something.
    pub(super) fn get(args: &AdminArgs, path: &str) -> Result<Self, AdminError> {
        let node = args.host.at(ADMIN_PORT);
        let answer = agent().get(format!("http://{node}{path}")).call();
        Self::read(node, answer)
    }

    /// Asks for a change.
    pub(super) fn post(
        args: &AdminArgs,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Self, AdminError> {
        let node = args.host.at(ADMIN_PORT);
        let answer = agent().post(format!("http://{node}{path}")).send_json(body);
        Self::read(node, answer)
    }

    /// What the answer says: as it came if that is wanted, else as `show` puts it.
    pub(super) fn text<T: DeserializeOwned>(
        self,
        args: &AdminArgs,
        show: impl FnOnce(T) -> String,
    ) -> Result<String, AdminError> {
        if args.json {
            return Ok(format!("{}\n", self.text.trim_end()));
        }
        let Self { node, text } = self;
        let read = serde_json::from_str(&text);
        read.map(show).map_err(|error| AdminError::Malformed { node, why: error.to_string() })
    }

    /// What the answer says, and the answer as it came.
    pub(super) fn read_as<T: DeserializeOwned>(self) -> Result<(T, String), AdminError> {
        let Self { node, text } = self;
        match serde_json::from_str(&text) {
            Ok(read) => Ok((read, format!("{}\n", text.trim_end()))),
            Err(error) => Err(AdminError::Malformed { node, why: error.to_string() }),
        }
    }

    /// What was asked for before is not there any more.
    pub(super) fn gone(args: &AdminArgs, message: &str) -> AdminError {
        let (node, message) = (args.host.at(ADMIN_PORT), message.to_owned());
        AdminError::Refused { node, message }
    }

    fn read(node: String, answer: Result<Response<Body>, ureq::Error>) -> Result<Self, AdminError> {
        let unreachable = |error: ureq::Error| AdminError::Unreachable {
            node: node.clone(),
            why: error.to_string(),
        };
        let mut answer = answer.map_err(unreachable)?;
        let body = answer.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_string();
        let text = body.map_err(unreachable)?;
        if answer.status().is_success() {
            return Ok(Self { node, text });
        }
        let message = format!("{}: {}", answer.status(), words(&text));
        Err(AdminError::Refused { node, message })
    }
}

/// The words of a refusal: plain text, or the field `error` of an object.
fn words(text: &str) -> String {
    let json = serde_json::from_str::<serde_json::Value>(text).ok();
    let error = json.as_ref().and_then(|json| json.get("error")?.as_str());
    error.unwrap_or(text).trim().to_owned()
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_LIMIT))
        .timeout_global(Some(LIMIT))
        .proxy(None);
    config.build().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;

    /// A node that answers one question with these words; gives back what it was asked.
    fn node(answer: &'static str) -> (AdminArgs, impl FnOnce() -> String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string().parse().unwrap();
        let (sender, asked) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                sender.send(request(&stream)).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            })
            .unwrap();
        (AdminArgs { host, json: false }, move || asked.recv().unwrap())
    }

    /// The first line and the body.
    fn request(stream: &std::net::TcpStream) -> String {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_ascii_lowercase());
        }
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).unwrap();
        let body: String = String::from_utf8(body).unwrap().split_whitespace().collect();
        format!("{} {body}", head[0])
    }

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}";

    #[test]
    fn an_answer_is_shown_or_printed_as_it_came() {
        let (mut args, asked) = node(OK);
        let answer = Answer::get(&args, "/api/x").unwrap();
        assert_eq!(asked(), "get /api/x http/1.1 ");
        let show = |value: serde_json::Value| value["a"].to_string();
        assert_eq!(answer.text(&args, show).unwrap(), "1");

        let _asked;
        (args, _asked) = node(OK);
        args.json = true;
        assert_eq!(Answer::get(&args, "/").unwrap().text(&args, show).unwrap(), "{\"a\":1}\n");
    }

    #[test]
    fn a_change_is_posted_as_json() {
        let (args, asked) = node(OK);
        Answer::post(&args, "/api/x", &serde_json::json!({"old": "a"})).unwrap();
        assert_eq!(asked(), "post /api/x http/1.1 {\"old\":\"a\"}");
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_node() {
        let (args, _asked) =
            node("HTTP/1.1 409 Conflict\r\ncontent-length: 20\r\n\r\n{\"error\":\"no seed\"} ");
        let error = Answer::get(&args, "/").err().unwrap();
        assert!(error.to_string().ends_with(": 409 Conflict: no seed"), "{error}");
        assert_eq!(error.exit(), Exit::Failed);
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        let (args, _asked) = node(OK);
        let answer = Answer::get(&args, "/").unwrap();
        let error = answer.text(&args, |_: Vec<u8>| String::new()).unwrap_err();
        assert_eq!(error.exit(), Exit::Failed);
    }

    #[test]
    fn a_closed_port_is_unreachable() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let args = AdminArgs { host: free.to_string().parse().unwrap(), json: false };
        let error = Answer::get(&args, "/").err().unwrap();
        assert_eq!(error.exit(), Exit::Unreachable);
        assert!(error.to_string().starts_with(&format!("cannot reach {free}: ")), "{error}");
    }
}
