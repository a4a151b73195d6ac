//! One HTML file that needs nothing beside it: no network, no script, readable in ten years.

use crate::verdict::Verdict;
use std::fmt::Write;
use std::path::Path;

const STYLE: &str = include_str!("report.css");

/// How something is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Bad,
    Doubtful,
}

impl Tone {
    /// The tone of a verdict.
    pub const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ok => Tone::Good,
            Verdict::Defect => Tone::Bad,
            Verdict::NotInspected(_) => Tone::Doubtful,
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Good => "good",
            Tone::Bad => "bad",
            Tone::Doubtful => "doubtful",
        }
    }
}

/// One field of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    html: String,
    number: bool,
}

impl Cell {
    /// Words.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self {
            html: escape(text.as_ref()),
            number: false,
        }
    }

    /// A number, set to the right.
    pub fn number(text: impl ToString) -> Self {
        Self {
            html: escape(&text.to_string()),
            number: true,
        }
    }

    /// A word with a colour.
    pub fn badge(text: &str, tone: Tone) -> Self {
        Self {
            html: badge(text, tone),
            number: false,
        }
    }

    /// Words that lead to an entry of this report; see [`super::PictureEntry::anchor`].
    pub fn link(text: &str, anchor: &str) -> Self {
        Self {
            html: format!("<a href=\"#{}\">{}</a>", escape(anchor), escape(text)),
            number: false,
        }
    }
}

/// Rows under a head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table with the names of its columns.
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn html(&self) -> String {
        let number = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.next().is_some_and(|cell| cell.number)
        };
        let class = |is: bool| if is { " class=\"number\"" } else { "" };
        let mut html = String::from("<div class=\"scroll\"><table><thead><tr>");
        for (column, name) in self.head.iter().enumerate() {
            let _ = write!(html, "<th{}>{}</th>", class(number(column)), escape(name));
        }
        html.push_str("</tr></thead><tbody>");
        for row in &self.rows {
            html.push_str("<tr>");
            for cell in row {
                let _ = write!(html, "<td{}>{}</td>", class(cell.number), cell.html);
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div>");
        html
    }
}

/// A report under construction: facts and figures in the head, then parts in the order in which they
/// were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    title: String,
    lead: String,
    figures: String,
    facts: String,
    body: String,
}

impl Report {
    /// An empty report.
    pub fn new(title: impl AsRef<str>) -> Self {
        Self {
            title: escape(title.as_ref()),
            ..Self::default()
        }
    }

    /// One sentence under the title.
    pub fn lead(&mut self, text: &str) -> &mut Self {
        self.lead = format!("<p class=\"lead\">{}</p>", escape(text));
        self
    }

    /// A large figure in the head, for instance the number of defects.
    pub fn figure(&mut self, name: &str, value: impl ToString, tone: Tone) -> &mut Self {
        let _ = write!(
            self.figures,
            "<div class=\"figure {}\"><b>{}</b><span>{}</span></div>",
            tone.class(),
            escape(&value.to_string()),
            escape(name)
        );
        self
    }

    /// A fact in the head.
    pub fn fact(&mut self, name: &str, value: impl ToString) -> &mut Self {
        let _ = write!(
            self.facts,
            "<div><dt>{}</dt><dd>{}</dd></div>",
            escape(name),
            escape(&value.to_string())
        );
        self
    }

    /// Begins a section.
    pub fn section(&mut self, title: &str) -> &mut Self {
        let _ = write!(self.body, "<h2>{}</h2>", escape(title));
        self
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        let _ = write!(self.body, "<p>{}</p>", escape(text));
        self
    }

    /// A table.
    pub fn table(&mut self, table: &Table) -> &mut Self {
        self.body.push_str(&table.html());
        self
    }

    /// Text as it stands, such as a configuration file.
    pub fn verbatim(&mut self, text: &str) -> &mut Self {
        let _ = write!(self.body, "<article><pre>{}</pre></article>", escape(text));
        self
    }

    /// HTML that a chart of this module or [`super::PictureEntry::html`] made.
    pub fn html(&mut self, html: &str) -> &mut Self {
        self.body.push_str(html);
        self
    }

    /// The whole file.
    pub fn finish(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style></head><body><main>\
             <header><h1>{title}</h1>{lead}<div class=\"figures\">{figures}</div>\
             <dl class=\"facts\">{facts}</dl></header>{body}\
             <footer>blemish {version}</footer></main></body></html>\n",
            title = self.title,
            lead = self.lead,
            figures = self.figures,
            facts = self.facts,
            body = self.body,
            version = env!("CARGO_PKG_VERSION"),
        )
    }

    /// Writes the file so that it is there as a whole or not at all.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        std::fs::write(&part, self.finish())?;
        std::fs::rename(&part, path)
    }
}

pub(super) fn badge(text: &str, tone: Tone) -> String {
    format!(
        "<span class=\"badge {}\">{}</span>",
        tone.class(),
        escape(text)
    )
}

/// Text as HTML, also inside quoted attributes.
pub fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_report_comes_from_outside_or_escapes() {
        let mut report = Report::new("Strip <b>1</b>");
        let mut table = Table::new(&["name", "score"]);
        table
            .rows
            .push(vec![Cell::link("a\"<", "p1"), Cell::number(0.5)]);
        report
            .lead("x & y")
            .figure("defects", 3, Tone::Bad)
            .fact("model", "<m>")
            .section("Scores")
            .table(&table)
            .html(&super::super::score_chart(&[], 0.5));
        let html = report.finish();
        for part in [
            "Strip &lt;b&gt;1",
            "x &amp; y",
            "&lt;m&gt;",
            "<a href=\"#p1\">a&quot;&lt;</a>",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert!(html.contains("<th class=\"number\">score</th>"));
        for outside in ["http://", "https://", "<script", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
