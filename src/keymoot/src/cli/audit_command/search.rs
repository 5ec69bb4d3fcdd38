//! `keymoot audit search` and `keymoot audit tail`: what happened, on all nodes.

use std::time::Duration;

use keymoot_audit::Query;
use keymoot_cluster::{
    AdminRequest, AdminResponse, AuditGap, AuditPage, AuditPosition, AuditSearch, FoundEvent, audit_mark,
};
use serde_json::{Value, json};

use super::args::{SearchArgs, SearchFormat, TailArgs};
use super::event_text::{CSV_HEADING, csv, gap, table};
use super::logs::logs_of;
use crate::cli::Failure;
use crate::cli::args::OutputFormat;
use crate::cli::operator::{Operator, say, unexpected};

/// How often what happens is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs `search`.
pub(super) async fn search(args: SearchArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let mut search = args.search()?;
    let mut printer = Printer::new(args.output);
    loop {
        let page = ask(&operator, &search).await?;
        let (more, mark) = (page.more, audit_mark(&page.positions));
        search.positions.clone_from(&page.positions);
        printer.page(page);
        // A page may be empty: a node only looks for so long before it answers.
        if !more || (!args.all && printer.events >= args.limit as usize) {
            printer.end(more.then_some(&mark));
            return Ok(());
        }
        search.query.limit = match args.all {
            true => Query::LIMIT_MAX,
            false => args.limit as usize - printer.events,
        };
    }
}

async fn ask(operator: &Operator, search: &AuditSearch) -> Result<AuditPage, Failure> {
    match operator.ask(AdminRequest::AuditSearch(Box::new(search.clone()))).await? {
        AdminResponse::AuditFound(page) => Ok(*page),
        _ => Err(unexpected()),
    }
}

/// Prints pages as one.
struct Printer {
    format: SearchFormat,
    events: usize,
    /// JSON is printed whole.
    collected: Vec<Value>,
    missing: Vec<AuditGap>,
}

impl Printer {
    fn new(format: SearchFormat) -> Self {
        if format == SearchFormat::Csv {
            say(CSV_HEADING);
        }
        Self { format, events: 0, collected: Vec::new(), missing: Vec::new() }
    }

    fn page(&mut self, page: AuditPage) {
        self.events += page.events.len();
        match self.format {
            SearchFormat::Table if page.events.is_empty() => {}
            SearchFormat::Table => say(&table(&page.events)),
            SearchFormat::Csv => say(&csv(&page.events)),
            SearchFormat::Json => self.collected.extend(page.events.iter().map(as_json)),
        }
        for missing in page.missing {
            if self.missing.contains(&missing) {
                continue;
            }
            if self.format != SearchFormat::Json {
                eprintln!("keymoot: warning: {}", gap(&missing));
            }
            self.missing.push(missing);
        }
    }

    fn end(self, mark: Option<&String>) {
        match self.format {
            SearchFormat::Json => {
                let all = json!({ "events": self.collected, "missing": self.missing, "next": mark });
                say(&format!("{all:#}\n"));
            }
            _ if self.events == 0 => eprintln!("keymoot: nothing was found"),
            _ => {}
        }
        if let Some(mark) = mark.filter(|_| self.format != SearchFormat::Json) {
            eprintln!("keymoot: there is more: ask again with --after {mark}");
        }
    }
}

fn as_json(found: &FoundEvent) -> Value {
    let event = serde_json::from_str(&found.event).unwrap_or_else(|_| Value::String(found.event.clone()));
    json!({ "node": found.name.node, "log": found.name.log, "number": found.number, "event": event })
}

/// Runs `tail`.
pub(super) async fn tail(args: TailArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    // What happens from now on is known by where each log ends now.
    let logs = logs_of(&operator).await?;
    let held = logs.logs.iter().filter_map(|log| log.held.as_ref());
    let positions = held.map(|held| AuditPosition { name: held.name, next: Some(held.size) });
    let positions: Vec<AuditPosition> = positions.collect();
    if args.lines > 0 {
        let query = Query { newest_first: true, limit: args.lines as usize, ..args.filter.query() };
        let before = positions.iter().filter_map(|position| {
            let last = position.next?.checked_sub(1)?;
            Some(AuditPosition { next: Some(last), ..*position })
        });
        let search = AuditSearch { query, positions: before.collect(), everywhere: true };
        let mut page = ask(&operator, &search).await?;
        page.events.reverse();
        show(&args, &page);
        page.missing.iter().for_each(|missing| eprintln!("keymoot: warning: {}", gap(missing)));
    }
    if !args.follow {
        return Ok(());
    }
    let mut search = AuditSearch {
        query: Query { limit: Query::LIMIT_MAX, ..args.filter.query() },
        positions,
        everywhere: true,
    };
    let mut missing = Vec::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let page = ask(&operator, &search).await?;
        show(&args, &page);
        for gone in page.missing.iter().filter(|gone| !missing.contains(*gone)) {
            eprintln!("keymoot: warning: {}", gap(gone));
        }
        search.positions = page.positions;
        missing = page.missing;
    }
}

fn show(args: &TailArgs, page: &AuditPage) {
    match args.output {
        OutputFormat::Table if page.events.is_empty() => {}
        OutputFormat::Table => say(&table(&page.events)),
        // A line for each, because it does not end.
        OutputFormat::Json => page.events.iter().for_each(|found| say(&format!("{}\n", as_json(found)))),
    }
}
