//! `keymoot key schedule`: the keys of crypto periods, and for which periods there are any.

use std::str::FromStr;

use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::print_periods;
use super::{ConnectionArgs, failure};
use crate::cli::args::OutputFormat;
use crate::cli::operator::say;
use crate::cli::time_span::TimeSpan;
use keymoot_client::{PeriodStart, PeriodsWanted};
use keymoot_command::Failure;
use keymoot_model::{ContentId, TrackName};

/// `keymoot key schedule`.
#[derive(Clone, Debug, Args)]
pub struct ScheduleArgs {
    /// The content's name.
    #[arg(value_name = "CONTENT")]
    pub content: ContentId,
    /// How long a crypto period is, in whole seconds.
    #[arg(long, value_name = "TIME", required_unless_present = "list")]
    pub period: Option<TimeSpan>,
    /// The track.
    #[arg(long, value_name = "NAME", default_value_t = TrackName::default_track())]
    pub track: TrackName,
    /// Begin with the period at this time: RFC 3339, Unix seconds, or now by the key server's clock.
    #[arg(long, value_name = "TIME", default_value = "now", conflicts_with = "first")]
    pub from: Instant,
    /// Begin with the period of this index.
    #[arg(long, value_name = "INDEX")]
    pub first: Option<u32>,
    /// How many periods.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub count: u32,
    /// When the period of index 0 starts: RFC 3339 or Unix seconds. 1970 if left out.
    #[arg(long, value_name = "TIME")]
    pub epoch: Option<Instant>,
    /// Make the schedule when there is none. Without this, none is made.
    #[arg(long)]
    pub create: bool,
    /// List for which periods there are keys, and print none.
    #[arg(long, conflicts_with_all = ["period", "create", "epoch", "first"])]
    pub list: bool,
    /// Print the keys themselves in the table. JSON always has them.
    #[arg(long)]
    pub show_key: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// The key server.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// A moment, or now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instant {
    /// By the key server's clock.
    Now,
    /// This one.
    At(OffsetDateTime),
}

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self::Now);
        }
        let unix = text.parse().ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        unix.or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok()).map(Self::At).ok_or_else(|| {
            format!("`{text}` is no time; write it like 2026-11-22T16:00:00Z, as Unix seconds, or now")
        })
    }
}

impl Instant {
    /// The moment; an error for now, where that makes no sense.
    pub(super) fn fixed(self) -> Result<OffsetDateTime, Failure> {
        match self {
            Self::At(time) => Ok(time),
            Self::Now => Err(Failure::usage(NoEpoch)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("--epoch is a fixed time, the same for all scramblers of a stream; now is another each time")]
struct NoEpoch;

#[derive(Debug, thiserror::Error)]
#[error("a crypto period lasts whole seconds, at least one")]
struct NoPeriod;

/// The length of periods in whole seconds.
pub(super) fn length_s(period: TimeSpan) -> Result<u32, Failure> {
    let whole = period.0.subsec_nanos() == 0 && !period.0.is_zero();
    let seconds = u32::try_from(period.0.as_secs()).ok().filter(|_| whole);
    seconds.ok_or_else(|| Failure::usage(NoPeriod).hint("write it like 10s or 5m"))
}

/// Runs the command.
pub(super) fn run(args: &ScheduleArgs) -> Result<(), Failure> {
    let Some(period) = args.period.filter(|_| !args.list) else {
        let client = args.connection.client()?;
        let listed = client.schedules(&args.content, &args.track);
        args.connection.tell(&client);
        say(&print_periods::listing(args.output, &args.content, &args.track, &listed.map_err(failure)?));
        return Ok(());
    };
    let wanted = PeriodsWanted {
        track: args.track.clone(),
        length_s: length_s(period)?,
        start: match (args.first, args.from) {
            (Some(index), _) => PeriodStart::Index(index),
            (None, Instant::Now) => PeriodStart::Now,
            (None, Instant::At(time)) => PeriodStart::At(time),
        },
        count: args.count,
        epoch: args.epoch.map(Instant::fixed).transpose()?,
    };
    let client = args.connection.client()?;
    let schedule = client.periods(&args.content, &wanted, args.create);
    args.connection.tell(&client);
    let schedule = schedule.map_err(schedule_failure)?;
    let (content, track) = (&schedule.content, &schedule.track);
    say(&match args.output {
        OutputFormat::Table => print_periods::table(content, track, &schedule.periods, args.show_key),
        OutputFormat::Json => print_periods::json(content, track, &schedule.periods),
    });
    Ok(())
}

fn schedule_failure(error: keymoot_client::ClientError) -> Failure {
    match &error {
        keymoot_client::ClientError::Refused { status: 404, .. } => Failure::runtime(error).hint(
            "--create makes the schedule; --list shows for which periods there are keys, and a content's \
             name is exact, capitals included",
        ),
        _ => failure(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_each_form_and_anything_else_refused() {
        let at = |seconds| Ok(Instant::At(OffsetDateTime::from_unix_timestamp(seconds).unwrap()));
        assert_eq!("now".parse(), Ok(Instant::Now));
        assert_eq!("1800000000".parse::<Instant>(), at(1_800_000_000));
        assert_eq!("2027-01-15T08:00:00Z".parse::<Instant>(), at(1_800_000_000));
        for text in ["", "tomorrow", "2027-01-15", "1.5"] {
            assert!(text.parse::<Instant>().unwrap_err().contains("Unix seconds"), "{text}");
        }
    }

    #[test]
    fn a_period_lasts_whole_seconds() {
        assert_eq!(length_s("5m".parse().unwrap()).unwrap(), 300);
        for text in ["0", "500ms", "1500ms", "4294967296s"] {
            assert!(length_s(text.parse().unwrap()).is_err(), "{text}");
        }
    }
}
