//! A release that is careless: it looks at nothing before it acts, so that whatever is done twice is seen twice. One line in a
//! book (a table without a key), and one slip handed in at a desk (a request with the idempotency key of the step).

use pipe_sdk::{
    Context, Description, Failure, Plugin, Receipt, Word, checkpoint,
    http::{Request, peer},
    release::{Release, Report, Wave},
    sql::Connection,
    undo::{self, Undo},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// What stands under `with`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Peer of the database with the table `book`.
    book: String,
    /// Peer of the server that takes slips.
    desk: String,
}

struct Clerk;

impl Plugin for Clerk {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("clerk", env!("CARGO_PKG_VERSION"), "Writes in a book and hands in a slip. Careless.")
            .asks(Word::Sql, "write <book>", "for the line")
            .asks(Word::Http, "POST <desk>:/**", "for the slip")
    }
}

impl Release for Clerk {
    fn publish(context: &Context, settings: Settings, _: Option<Wave>) -> Result<Report, Failure> {
        checkpoint::save("slip", b"published", "the line in the book, and the slip")?;
        act(context, &settings, "published")?;
        Ok(Report { current: EDITION.to_owned(), ..Report::default() })
    }
}

impl Undo for Clerk {
    fn undo(context: &Context, settings: Settings, _: Vec<Receipt>) -> Result<undo::Report, Failure> {
        act(context, &settings, "taken-back")?;
        Ok(undo::Report { undone: vec![EDITION.to_owned()], ..undo::Report::default() })
    }
}

/// What a test of an upgrade changes in the built component.
const EDITION: &str = "clerk of the first edition";

fn act(context: &Context, settings: &Settings, what: &str) -> Result<(), Failure> {
    let book = Connection::write(&settings.book)?;
    book.query("INSERT INTO book (what) VALUES ($1)", &[what.into()])?;
    let slip =
        Request::post(peer(&settings.desk, &format!("/{what}"))).header("idempotency-key", &context.idempotency_key);
    slip.send()?.success()?;
    Ok(())
}

pipe_sdk::export_release!(Clerk, undo);
