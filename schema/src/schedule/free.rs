//! School holidays.

use jiff::civil::Date;

/// Days on which no lesson is held and nothing is to be done: the school holidays of a calendar.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FreeDays {
    /// By first day.
    spans: Vec<Span>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    first: Date,
    /// Included.
    last: Date,
    name: String,
    /// The last day of this span and of all before it: no day after it need look further back.
    reach: Date,
}

impl FreeDays {
    /// Holidays from first to last day, both included, in any order; they may overlap.
    #[must_use]
    pub fn new(spans: impl IntoIterator<Item = (Date, Date, String)>) -> Self {
        let span = |(a, b, name): (Date, Date, String)| Span {
            first: a.min(b),
            last: a.max(b),
            name,
            reach: a.max(b),
        };
        let mut spans: Vec<_> = spans.into_iter().map(span).collect();
        spans.sort();
        let mut reach = Date::MIN;
        for span in &mut spans {
            reach = reach.max(span.last);
            span.reach = reach;
        }
        Self { spans }
    }

    /// The holiday that holds `day`: its name and its last day. Of several the one that ends last.
    #[must_use]
    pub fn holding(&self, day: Date) -> Option<(&str, Date)> {
        let begun = self.spans.partition_point(|span| span.first <= day);
        self.spans
            .get(..begun)?
            .iter()
            .rev()
            .take_while(|span| span.reach >= day)
            .filter(|span| span.last >= day)
            .max_by_key(|span| span.last)
            .map(|span| (span.name.as_str(), span.last))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// First day, last day (included) and name of each, by first day.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Date, Date, &str)> {
        self.spans
            .iter()
            .map(|span| (span.first, span.last, span.name.as_str()))
    }
}
