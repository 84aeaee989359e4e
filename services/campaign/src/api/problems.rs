//! The status of each refusal, and how OpenAPI describes it.

use axum::http::StatusCode;
use platform_rest::{etag, problem::Problem, problem_responses};

use crate::domain::{InvalidField, Refusal};

problem_responses! {
    /// There is no such site
    pub(super) NoSuchSite = 404;
    /// There is no such campaign
    pub(super) NoSuchCampaign = 404;
    /// There is no such slot
    pub(super) NoSuchSlot = 404;
    /// Another site has the identifier; or the site has slots in another time zone, or is in a campaign
    pub(super) SiteConflict = 409;
    /// The campaign is closed or no draft; a site is in too many campaigns; or the status cannot follow
    pub(super) CampaignConflict = 409;
    /// A parameter is wrong; `field` names it
    pub(super) InvalidParameter = 422;
}

/// 422: a field is wrong.
pub(super) fn invalid(InvalidField { field, reason }: &InvalidField) -> Problem {
    Problem::invalid(Some(field.as_str()).filter(|field| !field.is_empty()), reason.as_str())
}

/// 404: no slot has the number.
pub(super) fn no_such_slot() -> Problem {
    let r#type = "urn:anticorona:no-such-slot";
    Problem::new(StatusCode::NOT_FOUND, r#type, "There is no such slot")
        .detail("there is no such slot")
}

/// The status of a refusal.
pub(super) fn problem(refusal: &Refusal) -> Problem {
    let conflict = |r#type, title| (StatusCode::CONFLICT, r#type, title);
    let (status, r#type, title) = match refusal {
        Refusal::NoSuchSite => {
            (StatusCode::NOT_FOUND, "urn:anticorona:no-such-site", "There is no such site")
        }
        Refusal::NoSuchCampaign => {
            (StatusCode::NOT_FOUND, "urn:anticorona:no-such-campaign", "There is no such campaign")
        }
        Refusal::Stale => return etag::failed(),
        Refusal::Invalid(field) => return invalid(field),
        Refusal::UnknownSite(_) => return Problem::invalid("sites", refusal.to_string()),
        Refusal::Fixed(field) => return Problem::unchangeable(field, refusal.to_string()),
        Refusal::ZoneInUse(_) => return Problem::unchangeable("timeZone", refusal.to_string()),
        Refusal::IdentifierTaken { .. } => {
            conflict("urn:anticorona:identifier-taken", "Another site has this identifier")
        }
        Refusal::InCampaigns(_) => {
            conflict("urn:anticorona:site-in-campaign", "The site is in a campaign")
        }
        Refusal::TooManyCampaigns(_) => {
            conflict("urn:anticorona:too-many-campaigns", "The site is in too many campaigns")
        }
        Refusal::Closed => conflict("urn:anticorona:campaign-closed", "The campaign is closed"),
        Refusal::NotDraft(_) => conflict("urn:anticorona:campaign-no-draft", "It is no draft"),
        Refusal::NoSites => conflict("urn:anticorona:campaign-no-sites", "It has no sites"),
        Refusal::Transition { .. } => {
            conflict("urn:anticorona:status-cannot-follow", "The status cannot follow")
        }
    };
    Problem::new(status, r#type, title).detail(refusal.to_string())
}
