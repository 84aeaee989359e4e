//! HAL bodies, as clients of Spring Data REST expect them: items with `_links`, lists in `_embedded`.

use std::{collections::BTreeMap, fmt::Display, ops::Not};

use axum::{
    body::HttpBody,
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts, uri::Authority},
    response::Response,
};
use platform_store::{PageRows, PageStart};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::{
    accept, etag,
    headers::{FORWARDED_PREFIX, FORWARDED_PROTO},
    json::{self, RESPONSE_MAX},
    pagination::{Cursor, PageInfo, PageRequest},
    problem::Problem,
};

pub use crate::accept::MEDIA_TYPE;

/// The headers that a body depends on, besides the host, which is part of the URL.
const VARY: HeaderValue = HeaderValue::from_static("accept, x-forwarded-proto");

/// For what belongs to a person.
pub const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The parameters of a list with which a client begins; a cursor is only in the links of a page.
const PAGE_PARAMETERS: &str = "page,size,sort";

/// The longest host that links are made of: a name and a port (RFC 1035, section 2.3.4).
const HOST_MAX: usize = 261;

/// The longest path prefix that links are made of.
const PREFIX_MAX: usize = 256;

/// How the caller reached the system, `http://host:port/prefix`: links lead back the same way; and the media type
/// that it gets. A caller that accepts none is refused before anything happens.
///
/// The gateway forwards the caller's `Host`. A trusted proxy before it states the host, that it ends TLS, and
/// the path below which it publishes everything ([`TrustedProxies`](crate::TrustedProxies)).
#[derive(Clone, Debug)]
pub struct Origin {
    url: String,
    media_type: &'static str,
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let media_type = accept::negotiate(&parts.headers)?;
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.filter(|host| is_host(host));
        let prefix = parts.headers.get(FORWARDED_PREFIX).and_then(|prefix| prefix.to_str().ok());
        let prefix = prefix.filter(|prefix| is_prefix(prefix)).unwrap_or_default();
        let https = parts.headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https");
        let url = match host {
            Some(host) if https => format!("https://{host}{prefix}"),
            Some(host) => format!("http://{host}{prefix}"),
            None => prefix.to_owned(), // Links without a host are still valid.
        };
        Ok(Self { url, media_type })
    }
}

/// Whether links may be made of it: what a caller sends is repeated in every link.
pub(crate) fn is_host(host: &str) -> bool {
    host.len() <= HOST_MAX && !host.contains('@') && host.parse::<Authority>().is_ok()
}

/// Whether links may be made of it: `/` and a name, perhaps several times.
pub(crate) fn is_prefix(prefix: &str) -> bool {
    let is_name = |name: &str| {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !matches!(name, "" | "." | "..") && name.bytes().all(is_unreserved)
    };
    prefix.len() <= PREFIX_MAX
        && prefix.strip_prefix('/').is_some_and(|names| names.split('/').all(is_name))
}

impl Origin {
    /// The URL of an item.
    pub fn item(&self, collection: &str, id: impl Display) -> String {
        format!("{}/{collection}/{id}", self.url)
    }

    /// The URL of a collection.
    pub fn collection(&self, collection: &str) -> String {
        format!("{}/{collection}", self.url)
    }

    /// A response with a HAL body.
    pub fn reply<T: Serialize>(&self, status: StatusCode, body: &T) -> Response {
        let mut response = json::reply(status, self.media_type, body);
        response.headers_mut().insert(header::VARY, VARY);
        response
    }

    /// 200 with a body that only leads on.
    pub(crate) fn links(&self, links: impl IntoIterator<Item = (&'static str, Link)>) -> Response {
        self.reply(StatusCode::OK, &Links { links: links.into_iter().collect() })
    }
}

/// A link.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Link {
    #[schema(example = "http://127.0.0.1:8088/bookings/1")]
    href: String,
    /// Whether `href` has variables (RFC 6570); omitted if not.
    #[serde(default, skip_serializing_if = "Not::not")]
    templated: bool,
}

impl Link {
    /// The link to a URL.
    pub fn to(href: String) -> Self {
        Self { href, templated: false }
    }

    fn template(href: String) -> Self {
        Self { href, templated: true }
    }
}

/// A body that only leads on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Links {
    #[serde(rename = "_links")]
    #[schema(value_type = BTreeMap<String, Link>)]
    links: BTreeMap<&'static str, Link>,
}

/// An item with its links.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HalItem<T> {
    #[serde(flatten)]
    #[schema(inline)]
    item: T,
    #[serde(rename = "_links")]
    #[schema(value_type = BTreeMap<String, Link>)]
    links: ItemLinks,
}

/// `self`, the same URL under the name of the item, and perhaps what is below it.
#[derive(Clone, Debug)]
struct ItemLinks {
    singular: &'static str,
    link: Link,
    related: Option<(&'static str, Link)>,
}

impl Serialize for ItemLinks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = ["self", self.singular].map(|name| (name, &self.link));
        let related = self.related.as_ref().map(|(name, link)| (*name, link));
        serializer.collect_map(own.into_iter().chain(related))
    }
}

/// A kind of items: its path and its names.
#[derive(Clone, Copy, Debug)]
pub struct Collection {
    /// The path, and the name in `_embedded`: `bookings`.
    pub plural: &'static str,
    /// The name of an item's own link: `booking`.
    pub singular: &'static str,
    /// Whether items belong to a person, so that nobody may store them on the way.
    pub is_personal: bool,
    /// Its searches, each of them served by an index.
    pub searches: &'static [Search],
}

/// A search of a collection, at `/{collection}/search/{name}`.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Its name: `findByUserId`.
    pub name: &'static str,
    /// What it is by: `userId`; several with commas between them.
    pub parameter: &'static str,
}

impl Collection {
    fn item<T>(
        self,
        origin: &Origin,
        id: impl Display,
        item: T,
        related: Option<&'static str>,
    ) -> HalItem<T> {
        let link = Link::to(origin.item(self.plural, id));
        let related = related.map(|name| (name, Link::to(format!("{}/{name}", link.href))));
        HalItem { item, links: ItemLinks { singular: self.singular, link, related } }
    }

    pub(crate) fn list(self, origin: &Origin) -> Link {
        Link::template(format!("{}{{?{PAGE_PARAMETERS}}}", origin.collection(self.plural)))
    }

    pub(crate) fn profile(self, origin: &Origin) -> Link {
        Link::to(origin.item("profile", self.plural))
    }

    /// 200 with links to its searches.
    pub fn searches(self, origin: &Origin) -> Response {
        let path = origin.item(self.plural, "search");
        let searches = self.searches.iter().map(|Search { name, parameter }| {
            (*name, Link::template(format!("{path}/{name}{{?{parameter},{PAGE_PARAMETERS}}}")))
        });
        origin.links(searches.chain([("self", Link::to(path.clone()))]))
    }

    fn reply<T: Serialize>(self, origin: &Origin, status: StatusCode, body: &T) -> Response {
        let mut response = origin.reply(status, body);
        if self.is_personal {
            response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
        }
        response
    }

    /// 200 with an item and its `ETag`.
    pub fn ok<T: Serialize>(self, origin: &Origin, id: impl Display, item: T) -> Response {
        self.ok_tagged(origin, id, &item, &item)
    }

    /// [`Collection::ok`] with a link to what the item has below its own path, under the same name.
    pub fn ok_linked<T: Serialize>(
        self,
        origin: &Origin,
        id: impl Display,
        item: T,
        related: Option<&'static str>,
    ) -> Response {
        let item = self.item(origin, id, item, related);
        let mut response = self.reply(origin, StatusCode::OK, &item);
        etag::set(response.headers_mut(), &item.item);
        response
    }

    /// [`Collection::ok`] with an `ETag` of only a part of the item.
    pub fn ok_tagged<T: Serialize>(
        self,
        origin: &Origin,
        id: impl Display,
        item: &T,
        tagged: &impl Serialize,
    ) -> Response {
        let mut response = self.reply(origin, StatusCode::OK, &self.item(origin, id, item, None));
        etag::set(response.headers_mut(), tagged);
        response
    }

    /// 201 with an item and its `Location`; without an `ETag`, so that the rush for bookings does not pay
    /// for it.
    pub fn created<T: Serialize>(self, origin: &Origin, id: impl Display, item: T) -> Response {
        let item = self.item(origin, id, item, None);
        let mut response = self.reply(origin, StatusCode::CREATED, &item);
        if let Ok(location) = HeaderValue::try_from(item.links.link.href) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    /// 200 with a page of a list; `id` takes the key of an item and the item, and names it in its link.
    ///
    /// A page that would have more than [`RESPONSE_MAX`] bytes has fewer items, and a link to the others.
    pub fn page<T: Serialize, I: Display>(
        self,
        origin: &Origin,
        page: &PageRequest,
        list: List<T>,
        id: impl Fn(i64, &T) -> I,
    ) -> Response {
        self.page_linked(origin, page, list, |key, item| (id(key, item), None))
    }

    /// [`Collection::page`] with links as those of [`Collection::ok_linked`]: `of` names an item in its link, and what it
    /// has below it.
    pub fn page_linked<T: Serialize, I: Display>(
        self,
        origin: &Origin,
        page: &PageRequest,
        mut list: List<T>,
        of: impl Fn(i64, &T) -> (I, Option<&'static str>),
    ) -> Response {
        loop {
            let items = list.rows.items.iter().map(|(key, item)| {
                let (id, related) = of(*key, item);
                self.item(origin, id, item, related)
            });
            let mut items: Vec<_> = items.collect();
            if page.is_descending {
                items.reverse();
            }
            let body = HalPage {
                _embedded: BTreeMap::from([(self.plural, items)]),
                _links: self.page_links(origin, page, &list.rows),
                page: PageInfo::new(page, list.total),
            };
            let response = self.reply(origin, StatusCode::OK, &body);
            let length = usize::try_from(response.body().size_hint().lower());
            if length.is_ok_and(|length| length <= RESPONSE_MAX) || list.rows.items.len() <= 1 {
                return response;
            }
            list.halve(page.range.start);
        }
    }

    fn page_links<T>(self, origin: &Origin, page: &PageRequest, rows: &PageRows<T>) -> PageLinks {
        let link = |parameter: Option<&str>| Link::to(page.url(&origin.url, parameter));
        let cursor = |start| link(Some(&format!("cursor={}", Cursor(start))));
        let keys = rows.items.first().zip(rows.items.last());
        let keys = keys.map(|((first, _), (last, _))| (*first, *last));
        let below = keys.filter(|_| rows.has_previous);
        let below = below.map(|(first, _)| cursor(PageStart::Before(first)));
        let above = keys.filter(|_| rows.has_next);
        let above = above.map(|(_, last)| cursor(PageStart::After(last)));
        let (prev, next, last) = if page.is_descending {
            (above, below, PageStart::After(0)) // Keys are numbered from 1.
        } else {
            (below, above, PageStart::Before(i64::MAX))
        };
        PageLinks {
            first: link(None),
            prev,
            this: match page.number {
                Some(number) => link(Some(&format!("page={number}"))),
                None => cursor(page.range.start),
            },
            next,
            last: cursor(last),
            profile: self.profile(origin),
            search: (!self.searches.is_empty())
                .then(|| Link::to(origin.item(self.plural, "search"))),
        }
    }
}

/// One page of a list, with the number of all its items where that is known without counting.
#[derive(Clone, Debug)]
pub struct List<T> {
    /// The items with their keys.
    pub rows: PageRows<T>,
    /// Items in all.
    pub total: Option<u64>,
}

impl<T> List<T> {
    /// Keeps the half that is nearer to where the page begins.
    fn halve(&mut self, start: PageStart) {
        let PageRows { items, has_previous, has_next } = &mut self.rows;
        let half = items.len() / 2;
        match start {
            PageStart::Offset(_) | PageStart::After(_) => {
                items.truncate(half);
                *has_next = true;
            }
            PageStart::Before(_) | PageStart::OffsetFromEnd(_) => {
                items.drain(..half);
                *has_previous = true;
            }
        }
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct HalPage<T> {
    /// The items, under the name of the collection.
    #[schema(value_type = BTreeMap<String, Vec<HalItem<T>>>)]
    _embedded: BTreeMap<&'static str, Vec<HalItem<T>>>,
    _links: PageLinks,
    page: PageInfo,
}

/// Links to the other pages, to what describes the collection, and to its searches; `prev`, `next` and `search` only
/// where there is one.
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
    profile: Link,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    search: Option<Link>,
}
