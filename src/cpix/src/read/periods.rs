//! `ContentKeyPeriodList`: by number, by instant, by offset.

use std::collections::HashSet;

use time::{Duration, OffsetDateTime};

use super::{list, values};
use crate::fault::{Fault, FaultKind};
use crate::wanted::{KeyPeriod, PERIODS_MAX, PeriodSpan};
use crate::xml::Element;

/// The longest id of a period.
const ID_BYTES_MAX: usize = 256;

pub(super) fn read(root: &Element) -> Result<Vec<KeyPeriod>, Fault> {
    let mut periods = Vec::new();
    let mut ids = HashSet::new();
    for element in list(root, "ContentKeyPeriodList", "ContentKeyPeriod") {
        if periods.len() >= PERIODS_MAX {
            return Err(Fault::at(
                FaultKind::TooLarge { what: "periods", max: PERIODS_MAX },
                element.place(),
            ));
        }
        let period = period(element)?;
        if !ids.insert(period.id.clone()) {
            let what = "ContentKeyPeriod@id".to_owned();
            return Err(Fault::at(FaultKind::Repeated { what }, element.place()));
        }
        periods.push(period);
    }
    Ok(periods)
}

fn period(element: &Element) -> Result<KeyPeriod, Fault> {
    let id = element.attribute("id").filter(|id| !id.is_empty());
    let missing = FaultKind::Missing { what: "ContentKeyPeriod@id" };
    let id = id.ok_or_else(|| Fault::at(missing, element.place()))?.to_owned();
    if id.len() > ID_BYTES_MAX || id.contains(char::is_control) {
        let kind = FaultKind::Malformed { what: "ContentKeyPeriod@id", form: "it must be a short name" };
        return Err(Fault::at(kind, element.place()));
    }
    let malformed = |what, form| Fault::at(FaultKind::Malformed { what, form }, element.place());
    let index = values::number(element, "index").ok().and_then(|index| match index {
        None => Some(None),
        Some(index) => u32::try_from(index).ok().map(Some),
    });
    let index = index
        .ok_or_else(|| malformed("ContentKeyPeriod@index", "it must be a number from 0 to 4294967295"))?;
    let span = match span(element) {
        Ok(span) => span,
        Err(form) => return Err(malformed("ContentKeyPeriod", form)),
    };
    if index.is_none() && span.is_none() {
        let form = "it needs index, or start and end, or startOffset and endOffset";
        return Err(malformed("ContentKeyPeriod", form));
    }
    Ok(KeyPeriod { id, index, span })
}

fn span(element: &Element) -> Result<Option<PeriodSpan>, &'static str> {
    let instants = ends(element, ["start", "end"], values::instant, OffsetDateTime::checked_add)
        .map_err(|()| "start must be an instant, such as 2026-01-01T00:00:06Z, with an end or a duration")?;
    let offsets = ends(element, ["startOffset", "endOffset"], values::duration, Duration::checked_add)
        .map_err(|()| "startOffset must be a duration, such as PT6S, with an endOffset or a duration")?;
    match (instants, offsets) {
        (None, None) => Ok(None),
        (Some((start, end)), None) if start < end => Ok(Some(PeriodSpan::Instants { start, end })),
        (None, Some((start, end))) if start < end => Ok(Some(PeriodSpan::Offsets { start, end })),
        (Some(_), Some(_)) => Err("it cannot have both instants and offsets"),
        _ => Err("it must end after it starts"),
    }
}

/// Both ends of a period; the second is given, or follows from `duration`.
fn ends<T: Copy>(
    element: &Element,
    [first, second]: [&str; 2],
    read: impl Fn(&str) -> Option<T>,
    later: impl Fn(T, Duration) -> Option<T>,
) -> Result<Option<(T, T)>, ()> {
    let length = element.attribute("duration");
    let ends = match (element.attribute(first), element.attribute(second), length) {
        (None, None, _) => return Ok(None),
        (Some(first), Some(second), _) => read(first).zip(read(second)),
        (Some(first), None, Some(length)) => read(first)
            .zip(values::duration(length))
            .and_then(|(start, length)| Some((start, later(start, length)?))),
        _ => None,
    };
    ends.map(Some).ok_or(())
}
