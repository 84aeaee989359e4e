//! HAL bodies, as clients of Spring Data REST expect them: items with `_links`, lists in `_embedded`.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts, uri::Authority},
    response::Response,
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use utoipa::ToSchema;

use crate::{json, problem::Problem};

/// The media type of every HAL body.
pub const MEDIA_TYPE: &str = "application/hal+json";

/// The longest host that links are made of: a name and a port (RFC 1035, section 2.3.4).
const HOST_MAX: usize = 261;

/// Items on one page unless asked otherwise.
pub const PAGE_SIZE: u32 = 20;

/// Items on one page at the most; a larger `size` means this.
pub const PAGE_SIZE_MAX: u32 = 1_000;

/// How the caller reached us, `http://host:port`: links must lead back the same way.
///
/// The gateway passes the caller's `Host` on; whoever ends TLS says `X-Forwarded-Proto: https`.
#[derive(Clone, Debug)]
pub struct Origin(String);

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.filter(|host| is_host(host));
        let https = parts.headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
        Ok(Self(match host {
            Some(host) if https => format!("https://{host}"),
            Some(host) => format!("http://{host}"),
            None => String::new(), // Links without a host are still links.
        }))
    }
}

/// Whether links may be made of it: whatever a caller sends comes back many times on a page.
fn is_host(host: &str) -> bool {
    host.len() <= HOST_MAX && !host.contains('@') && host.parse::<Authority>().is_ok()
}

impl Origin {
    /// The address of an item.
    pub fn item(&self, collection: &str, id: impl std::fmt::Display) -> String {
        format!("{}/{collection}/{id}", self.0)
    }
}

/// An address.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Link {
    #[schema(example = "http://127.0.0.1:8088/bookings/1")]
    href: String,
}

impl Link {
    /// The link that leads to this address.
    pub fn to(href: String) -> Self {
        Self { href }
    }
}

/// An item with its links.
#[derive(Clone, Debug, Serialize)]
pub struct Item<T> {
    #[serde(flatten)]
    item: T,
    #[serde(rename = "_links")]
    links: ItemLinks,
}

#[derive(Clone, Debug)]
struct ItemLinks {
    singular: &'static str,
    href: String,
}

impl Serialize for ItemLinks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Href<'a> {
            href: &'a str,
        }
        let mut links = serializer.serialize_map(Some(2))?;
        links.serialize_entry("self", &Href { href: &self.href })?;
        links.serialize_entry(self.singular, &Href { href: &self.href })?;
        links.end()
    }
}

/// A kind of items: where they live and what they are called.
#[derive(Clone, Copy, Debug)]
pub struct Collection {
    /// The path and the name in `_embedded`: `bookings`.
    pub plural: &'static str,
    /// The name of the item's own link: `booking`.
    pub singular: &'static str,
}

impl Collection {
    /// An item with its links.
    pub fn item<T>(self, origin: &Origin, id: impl std::fmt::Display, item: T) -> Item<T> {
        let href = origin.item(self.plural, id);
        Item { item, links: ItemLinks { singular: self.singular, href } }
    }

    /// 200 with an item.
    pub fn found<T: Serialize>(
        self,
        origin: &Origin,
        id: impl std::fmt::Display,
        item: T,
    ) -> Response {
        json::reply(StatusCode::OK, MEDIA_TYPE, &self.item(origin, id, item))
    }

    /// 201 with an item and its `Location`.
    pub fn created<T: Serialize>(
        self,
        origin: &Origin,
        id: impl std::fmt::Display,
        item: T,
    ) -> Response {
        let item = self.item(origin, id, item);
        let mut response = json::reply(StatusCode::CREATED, MEDIA_TYPE, &item);
        if let Ok(location) = HeaderValue::try_from(item.links.href) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    /// 200 with one page of items.
    pub fn page<T: Serialize>(
        self,
        origin: &Origin,
        page: Page,
        total: u64,
        items: Vec<Item<T>>,
    ) -> Response {
        self.found_page(origin, "", page, (items, total))
    }

    /// 200 with one page of what a search found, and how much it found in all; `search` is the path
    /// behind the collection, with its query.
    pub fn found_page<T: Serialize>(
        self,
        origin: &Origin,
        search: &str,
        page: Page,
        (items, total): (Vec<Item<T>>, u64),
    ) -> Response {
        let body = List {
            _embedded: Embedded { plural: self.plural, items },
            _links: page.links(&origin.item(self.plural, search), total),
            page: PageInfo {
                size: page.size,
                total_elements: total,
                total_pages: page.total_pages(total),
                number: page.number,
            },
        };
        json::reply(StatusCode::OK, MEDIA_TYPE, &body)
    }
}

/// Which page: `?page=0&size=20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Counted from 0.
    pub number: u64,
    /// Items on it, 1 to [`PAGE_SIZE_MAX`].
    pub size: u32,
}

impl Page {
    /// How many items come before it; saturates.
    pub fn offset(self) -> u64 {
        self.number.saturating_mul(u64::from(self.size))
    }

    /// The one page of a list that is never longer than [`PAGE_SIZE_MAX`].
    pub fn all(items: usize) -> Self {
        let size = u32::try_from(items).unwrap_or(PAGE_SIZE_MAX).clamp(1, PAGE_SIZE_MAX);
        Self { number: 0, size }
    }

    fn total_pages(self, total: u64) -> u64 {
        total.div_ceil(u64::from(self.size))
    }

    fn links(self, collection: &str, total: u64) -> PageLinks {
        let base = collection.trim_end_matches('/');
        let join = if base.contains('?') { '&' } else { '?' };
        let link = |number| Link { href: format!("{base}{join}page={number}&size={}", self.size) };
        let last = self.total_pages(total).saturating_sub(1);
        PageLinks {
            first: link(0),
            prev: (self.number > 0).then(|| link((self.number - 1).min(last))),
            this: link(self.number),
            next: (self.number < last).then(|| link(self.number + 1)),
            last: link(last),
        }
    }
}

#[derive(Deserialize)]
struct PageQuery {
    page: Option<String>,
    size: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let json::Query(query) = json::Query::<PageQuery>::from_request_parts(parts, state).await?;
        let number = match query.page {
            None => 0,
            Some(text) => text
                .parse::<u32>()
                .map_err(|_| Problem::invalid("page", "must be a whole number, counted from 0"))?,
        };
        let size = match query.size {
            None => PAGE_SIZE,
            Some(text) => match text.parse::<u32>() {
                Ok(size) if size > 0 => size.min(PAGE_SIZE_MAX),
                _ => return Err(Problem::invalid("size", "must be a whole number from 1")),
            },
        };
        Ok(Self { number: u64::from(number), size })
    }
}

#[derive(Serialize)]
struct List<T> {
    _embedded: Embedded<T>,
    _links: PageLinks,
    page: PageInfo,
}

struct Embedded<T> {
    plural: &'static str,
    items: Vec<Item<T>>,
}

impl<T: Serialize> Serialize for Embedded<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut embedded = serializer.serialize_map(Some(1))?;
        embedded.serialize_entry(self.plural, &self.items)?;
        embedded.end()
    }
}

/// From here to the other pages; `prev` and `next` only where there is one.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageLinks {
    first: Link,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prev: Option<Link>,
    #[serde(rename = "self")]
    this: Link,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<Link>,
    last: Link,
}

/// Which page it is, and of how many.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageInfo {
    /// Items on a full page.
    #[schema(example = 20)]
    size: u32,
    /// Items in all.
    #[schema(example = 1)]
    total_elements: u64,
    /// Pages in all.
    #[schema(example = 1)]
    total_pages: u64,
    /// Counted from 0.
    #[schema(example = 0)]
    number: u64,
}
