//! `LAB_LOG`: which lines of the log are wanted.

use std::fmt;
use std::str::FromStr;

/// Which lines of the log are printed: those of certain topics, of certain servers, or both.
///
/// `vote,fault@S1,@S2`: all about votes, faults that concern S1, and whatever S2 does. A topic is
/// written in any case; `all` is every topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics(Vec<Wanted>);

/// `vote@S1`; what is missing may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    topic: Option<String>,
    node: Option<String>,
}

impl Topics {
    /// Every line.
    #[must_use]
    pub fn all() -> Topics {
        Topics(vec![Wanted { topic: None, node: None }])
    }

    /// Could a line of this topic be printed?
    #[must_use]
    pub fn may_include(&self, topic: &str) -> bool {
        self.0.iter().any(|wanted| wanted.has_topic(topic))
    }

    /// Is a line of this topic printed that concerns these nodes (servers, clients)?
    #[must_use]
    pub fn include(&self, topic: &str, nodes: &[&str]) -> bool {
        let concerns = |wanted: &Wanted| match &wanted.node {
            None => true,
            Some(node) => nodes.iter().any(|other| node.eq_ignore_ascii_case(other)),
        };
        self.0.iter().any(|wanted| wanted.has_topic(topic) && concerns(wanted))
    }
}

impl Wanted {
    fn has_topic(&self, topic: &str) -> bool {
        self.topic.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(topic))
    }
}

/// A part of a list that says neither a topic nor a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTopic;

impl FromStr for Topics {
    type Err = BadTopic;

    fn from_str(text: &str) -> Result<Topics, BadTopic> {
        let one = |part: &str| {
            let (topic, node) = match part.trim().split_once('@') {
                None => (part.trim(), None),
                Some((topic, node)) => (topic.trim(), Some(node.trim())),
            };
            let topic = Some(topic).filter(|topic| !topic.is_empty());
            if node == Some("") || (topic.is_none() && node.is_none()) {
                return Err(BadTopic);
            }
            let topic = topic.filter(|topic| !topic.eq_ignore_ascii_case("all"));
            Ok(Wanted { topic: topic.map(str::to_owned), node: node.map(str::to_owned) })
        };
        text.split(',').map(one).collect::<Result<_, _>>().map(Topics)
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Wanted { topic, node }) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let topic = topic.as_deref().unwrap_or(if node.is_some() { "" } else { "all" });
            write!(f, "{comma}{topic}")?;
            if let Some(node) = node {
                write!(f, "@{node}")?;
            }
        }
        Ok(())
    }
}
