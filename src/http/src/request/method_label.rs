//! The methods of requests in metrics.

use actix_web::http::Method;

/// All methods that nothing here answers to.
const OTHER: &str = "other";

/// The label of a method. Anybody may make methods up, and each label is a series that is kept for ever.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_has_one_label() {
        assert_eq!(method_label(&Method::DELETE), "DELETE");
        for made_up in ["BREW", "get", "TRACE"] {
            assert_eq!(method_label(&made_up.parse().unwrap()), OTHER);
        }
    }
}
