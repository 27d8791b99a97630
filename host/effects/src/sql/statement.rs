//! Splits SQL text into statements, tells what each one is, and shows it without its literals.

use super::{
    Dialect,
    token::{Kind, Token, tokens},
};

/// The longest statement that is shown, in characters.
const LONGEST_SHOWN: usize = 1_000;

/// How many tokens of a statement say what it is. `EXPLAIN` with all its options needs the most.
const LEADING: usize = 64;

/// One statement with everything around it: comments before, the semicolon after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement<'t> {
    /// As it stands in the text.
    pub(crate) text: &'t str,
    dialect: Dialect,
}

/// The statements of `text`. Put together they are the text again, so some may be blank.
pub(crate) fn split(text: &str, dialect: Dialect) -> Vec<Statement<'_>> {
    let (mut statements, mut begin, mut end) = (Vec::new(), 0, 0);
    let mut shape = Shape::new(dialect);
    for token in tokens(text, dialect) {
        end += token.text.len();
        if token.is_significant() && shape.ends_with(&token) {
            statements.extend(text.get(begin..end).map(|text| Statement { text, dialect }));
            (begin, shape) = (end, Shape::new(dialect));
        }
    }
    statements.extend(text.get(begin..).filter(|rest| !rest.is_empty()).map(|text| Statement { text, dialect }));
    statements
}

/// The only statement of `text`, or nothing where it holds none or several.
pub(crate) fn single(text: &str, dialect: Dialect) -> Option<Statement<'_>> {
    let mut statements = split(text, dialect).into_iter().filter(|statement| !statement.is_blank());
    let first = statements.next()?;
    statements.next().is_none().then_some(first)
}

impl<'t> Statement<'t> {
    /// Whether there is nothing to run in it.
    pub(crate) fn is_blank(&self) -> bool {
        self.significant().next().is_none()
    }

    /// From its first token to its last, without comments around it and semicolons.
    pub(crate) fn bare(&self) -> &'t str {
        let (mut at, mut bare) = (0, None::<(usize, usize)>);
        for token in tokens(self.text, self.dialect) {
            let end = at + token.text.len();
            if token.is_significant() && token.kind != Kind::Semicolon {
                bare = Some((bare.map_or(at, |(begin, _)| begin), end));
            }
            at = end;
        }
        bare.and_then(|(begin, end)| self.text.get(begin..end)).unwrap_or_default()
    }

    /// See [`shown`].
    pub(crate) fn shown(&self) -> String {
        shown(self.bare(), self.dialect)
    }

    /// Whether its text holds a parameter.
    pub(crate) fn has_parameters(&self) -> bool {
        self.significant().any(|token| token.kind == Kind::Parameter)
    }

    /// The tokens that say what it is, without the parentheses that may open it.
    pub(crate) fn leading(&self) -> Vec<Token<'t>> {
        self.significant().skip_while(|token| token.text == "(").take(LEADING).collect()
    }

    /// Every name in it as the server reads it: words in lower case, quoted names without their quotes.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> + use<'t> {
        self.significant().filter_map(|token| match token.kind {
            Kind::Word => Some(token.text.to_ascii_lowercase()),
            Kind::Name => Some(token.text.trim_matches('"').replace("\"\"", "\"")),
            _ => None,
        })
    }

    /// Every string in it, as it is written between its quotes.
    pub(crate) fn strings(&self) -> impl Iterator<Item = String> + use<'t> {
        self.significant().filter(|token| token.kind == Kind::Text).map(|token| token.text.replace("''", "'"))
    }

    /// The keyword that says what it does, in capitals: of `WITH` the one behind the common tables.
    pub(crate) fn verb(&self) -> String {
        let (mut depth, mut first) = (0_usize, None::<Token<'t>>);
        for token in self.significant().skip_while(|token| token.text == "(") {
            let Some(first) = first else {
                if !token.is("with") {
                    return token.text.to_ascii_uppercase();
                }
                first = Some(token);
                continue;
            };
            match token.text {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ if depth == 0 && VERBS.iter().any(|verb| token.is(verb)) => return token.text.to_ascii_uppercase(),
                _ if depth == 0 && token.kind == Kind::Semicolon => return first.text.to_ascii_uppercase(),
                _ => {}
            }
        }
        first.map(|token| token.text.to_ascii_uppercase()).unwrap_or_default()
    }

    fn significant(&self) -> impl Iterator<Item = Token<'t>> + use<'t> {
        tokens(self.text, self.dialect).filter(Token::is_significant).filter(|token| token.kind != Kind::Semicolon)
    }
}

/// What may follow the common tables of `WITH`.
const VERBS: [&str; 8] = ["SELECT", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"];

/// Knows the statements that hold semicolons of their own: triggers of SQLite, and functions of PostgreSQL with a body that
/// is not a string. In both the body ends with an `END` right behind a semicolon (or, where it is empty, behind `ATOMIC`),
/// and only there: within an expression no semicolon can precede the `END` of a `CASE`.
struct Shape {
    dialect: Dialect,
    words: Vec<String>,
    depth: usize,
    body: Body,
    last: Last,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Open,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Semicolon,
    Begin,
    Atomic,
    Other,
}

impl Shape {
    fn new(dialect: Dialect) -> Self {
        Self { dialect, words: Vec::new(), depth: 0, body: Body::None, last: Last::Other }
    }

    /// Takes the next significant token, and says whether the statement ends with it.
    fn ends_with(&mut self, token: &Token<'_>) -> bool {
        if token.kind == Kind::Semicolon {
            self.last = Last::Semicolon;
            return self.body != Body::Open;
        }
        match token.text {
            "(" => self.depth += 1,
            ")" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.words.len() < 7 {
            self.words.push(if token.kind == Kind::Word { token.text.to_ascii_uppercase() } else { String::new() });
        }
        let before = std::mem::replace(&mut self.last, Last::Other);
        match self.dialect {
            Dialect::Sqlite if self.body == Body::None && self.is_trigger() => self.body = Body::Open,
            Dialect::Postgresql if token.is("begin") && self.depth == 0 => self.last = Last::Begin,
            Dialect::Postgresql if token.is("atomic") && before == Last::Begin && self.is_function() => {
                (self.last, self.body) = (Last::Atomic, Body::Open);
            }
            _ => {}
        }
        // What follows such an END is no longer the body, whether or not it is right.
        if token.is("end") && self.body == Body::Open && matches!(before, Last::Semicolon | Last::Atomic) {
            self.body = Body::Closed;
        }
        false
    }

    /// `[EXPLAIN [QUERY PLAN]] CREATE [TEMP] TRIGGER`
    fn is_trigger(&self) -> bool {
        let mut words =
            self.words.iter().map(String::as_str).skip_while(|w| matches!(*w, "EXPLAIN" | "QUERY" | "PLAN"));
        words.next() == Some("CREATE")
            && words.find(|word| !matches!(*word, "TEMP" | "TEMPORARY")).is_some_and(|word| word == "TRIGGER")
    }

    /// `CREATE [OR REPLACE] FUNCTION`
    fn is_function(&self) -> bool {
        let mut words = self.words.iter().map(String::as_str);
        words.next() == Some("CREATE")
            && words
                .find(|word| !matches!(*word, "OR" | "REPLACE"))
                .is_some_and(|word| matches!(word, "FUNCTION" | "PROCEDURE"))
    }
}

/// `text` on one line, with `?` for every literal and without comments. Where it is long it is cut, and says so.
pub(crate) fn shown(text: &str, dialect: Dialect) -> String {
    let (mut line, mut length) = (String::new(), 0_usize);
    let (mut space, mut in_number) = (false, false);
    for token in tokens(text, dialect) {
        let piece = match token.kind {
            Kind::Space | Kind::Comment => {
                (space, in_number) = (true, false);
                continue;
            }
            Kind::Text => "?",
            Kind::Number if in_number => continue,
            Kind::Number => "?",
            // `1_000` and `0xg`: the tail of something that began as a number.
            Kind::Word if in_number => continue,
            _ => token.text,
        };
        in_number = token.kind == Kind::Number;
        let gap = usize::from(std::mem::take(&mut space) && !line.is_empty());
        length += gap + piece.chars().count();
        if length > LONGEST_SHOWN {
            line.push_str(&format!("… (cut: {} bytes in all)", text.len()));
            break;
        }
        line.extend(std::iter::repeat_n(' ', gap));
        line.extend(piece.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
    line
}

#[cfg(test)]
mod tests;
