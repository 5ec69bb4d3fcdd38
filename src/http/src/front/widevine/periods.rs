//! The crypto periods that a request asks for, within what one request may have.

use keymoot_protocol::widevine::ContentKeyRequest;
use keymoot_service::{PERIODS_MAX, PeriodRange, PeriodsError};

/// None when whole tracks are asked for.
pub(super) fn periods(asked: &ContentKeyRequest) -> Result<Option<PeriodRange>, PeriodsError> {
    let Some(periods) = asked.periods else { return Ok(None) };
    let keys = u64::from(periods.count) * asked.tracks.len() as u64;
    if keys > u64::from(PERIODS_MAX) {
        return Err(PeriodsError::TooMany);
    }
    PeriodRange::new(periods.length_s, periods.first, periods.count).map(Some)
}

#[cfg(test)]
mod tests {
    use keymoot_protocol::widevine::Status;
    use serde_json::json;

    use super::super::refusal::Refusal;
    use super::*;

    fn asked(first: u32, count: u32) -> Result<Option<PeriodRange>, PeriodsError> {
        let request = json!({
            "content_id": "YQ==", "tracks": [{"type": "SD"}, {"type": "AUDIO"}],
            "first_crypto_period_index": first, "crypto_period_count": count, "crypto_period_seconds": 10,
        });
        periods(&ContentKeyRequest::parse(request.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn periods_are_bounded_for_all_tracks_together() {
        assert_eq!(asked(7, 5000), Ok(Some(PeriodRange::new(10, 7, 5000).unwrap())));
        let refused = |first, count| Refusal::from(asked(first, count).unwrap_err()).status;
        assert_eq!(refused(0, 0), Status::NoRequestedCryptoPeriods);
        assert_eq!(refused(u32::MAX, 2), Status::NoRequestedCryptoPeriods);
        assert_eq!(refused(0, 5001), Status::MalformedRequest, "two tracks of 5,001 periods are too many");
    }
}
