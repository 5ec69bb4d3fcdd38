//! The page that shows the document: Swagger UI, every file of it in this program.
//!
//! It is served with a policy that lets a browser load nothing from elsewhere and send nothing
//! elsewhere, so that it works, and stays, without the Internet.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Bytes;

use super::archive::{self, DamagedArchive};
use crate::answer::error::{ApiError, ErrorKind};

/// Styles are set by its scripts, and its few pictures are inside of them.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The script that starts the page, in the place of the archive's, which shows a public example.
const START: &str = "swagger-initializer.js";
/// The document is named relatively, so that a proxy may serve the API under a path of its own. The
/// validator would be a server of strangers.
const START_TEXT: &str = r##"window.onload = () => {
  window.ui = SwaggerUIBundle({
    "dom_id": "#swagger-ui",
    "url": "../openapi.json",
    "deepLinking": true,
    "validatorUrl": "none",
    "layout": "StandaloneLayout",
    "presets": [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    "plugins": [SwaggerUIBundle.plugins.DownloadUrl]
  });
};
"##;

/// The page, or the file of it that the path names.
pub fn viewer(path: &str, file: Option<&str>) -> Result<HttpResponse, ApiError> {
    let file = match file {
        Some(file) => file,
        // The page names its files relative to itself.
        None if !path.ends_with('/') => {
            return Ok(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "docs/")).finish());
        }
        None => "index.html",
    };
    match content(file) {
        Ok(Some(bytes)) => Ok(HttpResponse::Ok()
            .content_type(content_type(file))
            .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::CACHE_CONTROL, "max-age=3600"))
            .body(bytes)),
        Ok(None) => {
            Err(ApiError::new(ErrorKind::NotFound, "the page of the API has no such file; it is at /docs/"))
        }
        Err(error) => Err(ApiError::internal(error)),
    }
}

fn content(file: &str) -> Result<Option<Bytes>, DamagedArchive> {
    if file == START { Ok(Some(Bytes::from_static(START_TEXT.as_bytes()))) } else { archive::file(file) }
}

fn content_type(file: &str) -> &'static str {
    match file.rsplit('.').next() {
        Some("html") => "text/html",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;

    use super::*;

    fn text(file: &str) -> String {
        let body = viewer("/docs/", Some(file)).unwrap().into_body();
        String::from_utf8(body.try_into_bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn every_file_that_the_page_names_is_here_and_none_is_elsewhere() {
        let page = text("index.html");
        let named: Vec<&str> = page
            .split("src=\"")
            .chain(page.split("href=\""))
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let named: Vec<&str> = named.into_iter().filter(|name| name.starts_with("./")).collect();
        assert!(named.len() >= 5, "{page}");
        for name in named {
            assert!(viewer("/docs/", name.strip_prefix("./")).is_ok(), "{name}");
        }
        assert!(!page.contains("://"), "{page}");
        let start = text("swagger-initializer.js");
        assert!(start.contains("../openapi.json") && start.contains("\"validatorUrl\": \"none\""), "{start}");
    }

    #[test]
    fn a_path_without_a_slash_leads_to_the_one_with_it() {
        let answer = viewer("/docs", None).unwrap();
        assert_eq!(answer.headers().get("location").unwrap(), "docs/");
        assert!(viewer("/docs/", Some("nothing")).is_err());
    }
}
