//! What commands have to say.

use serde::Serialize;

/// What a command has to say, put into words when it is known in which form.
pub struct Report {
    content: Box<dyn Content>,
    /// Set when the command ran but its verdict is negative: `cause; way out`.
    pub failure: Option<String>,
}

/// Both forms of a report.
trait Content {
    fn json(&self) -> serde_json::Result<serde_json::Value>;
    fn text(&self) -> String;
}

impl<T: Serialize + std::fmt::Display> Content for T {
    fn json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(self)
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// A report whose text says less or more than its object.
struct Apart {
    json: serde_json::Value,
    text: String,
}

impl Content for Apart {
    fn json(&self) -> serde_json::Result<serde_json::Value> {
        Ok(self.json.clone())
    }

    fn text(&self) -> String {
        self.text.clone()
    }
}

impl Report {
    /// A report of a command that succeeded.
    pub fn new(value: impl Serialize + std::fmt::Display + 'static) -> Self {
        Report { content: Box::new(value), failure: None }
    }

    /// A report of a command that ran, with its verdict where that is negative.
    pub fn judged(value: impl Serialize + std::fmt::Display + 'static, failure: Option<String>) -> Self {
        Report { failure, ..Report::new(value) }
    }

    /// A report whose two forms are not one value's.
    pub fn apart(json: serde_json::Value, text: String) -> Self {
        Report { content: Box::new(Apart { json, text }), failure: None }
    }

    /// The object that `--json` prints.
    ///
    /// # Errors
    /// A value that JSON cannot hold.
    pub fn json(&self) -> serde_json::Result<String> {
        self.content.json().map(|value| value.to_string())
    }

    /// The text printed otherwise.
    pub fn text(&self) -> String {
        self.content.text().trim_end().to_string()
    }
}
