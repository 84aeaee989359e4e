//! What the demo prints when it is ready.

use std::io::{self, Write};

use super::{
    city::{CAMPAIGNS, VACCINES},
    registration::Examples,
};

/// Where the services listen.
pub(super) struct Urls {
    pub(super) vaccine: String,
    pub(super) booking: String,
    pub(super) gateway: String,
}

/// Prints what to open, and with data, what to try.
pub(super) fn print(urls: &Urls, examples: Option<&Examples>) -> io::Result<()> {
    let Urls { vaccine: _, booking, gateway } = urls;
    let mut out = io::stdout().lock();
    writeln!(out, "\nanticorona is ready.\n")?;
    writeln!(out, "  Open      {gateway}/             everything, through the gateway")?;
    writeln!(out, "            {gateway}/swagger-ui/  every request, to try in the browser")?;
    writeln!(out, "            {booking}/bookings     bookings, newest last")?;
    writeln!(out, "            {gateway}/mypages      what citizens see of them")?;
    writeln!(out, "            {gateway}/injections   who is expected at the injection desk")?;
    if let Some(examples) = examples {
        write_offer(&mut out, urls)?;
        write_examples(&mut out, urls, examples)?;
    }
    writeln!(out, "\n  Ctrl-C ends it and removes its data.\n")?;
    out.flush()
}

/// What can be chosen from.
fn write_offer(out: &mut impl Write, Urls { vaccine, gateway, .. }: &Urls) -> io::Result<()> {
    writeln!(out, "            {gateway}/sites        where people can be vaccinated\n")?;
    for (id, it) in (1..).zip(VACCINES) {
        let (name, stock) = (it.name, it.stock);
        writeln!(out, "  Vaccine {id}   {name:<8} {stock:>9} doses   {vaccine}/vaccines/{id}")?;
    }
    for (id, it) in (1..).zip(CAMPAIGNS) {
        let (name, sites, days) = (it.name_en, it.sites.len(), it.days);
        writeln!(
            out,
            "  Campaign {id}  {name}: {sites} sites, {days} days   {gateway}/campaigns/{id}"
        )?;
    }
    Ok(())
}

fn write_examples(out: &mut impl Write, urls: &Urls, examples: &Examples) -> io::Result<()> {
    let Urls { vaccine: _, booking, gateway } = urls;
    let Examples { from, series: [first, second], single } = examples;
    let mut book = |what: &str, body: &str| {
        writeln!(out, "\n  {what}:")?;
        let json = "-H 'Content-Type: application/json'";
        writeln!(out, "    curl -i {gateway}/bookings {json} \\\n      -d '{body}'")
    };
    book("Book a dose", r#"{"vaccineId":1, "userId":5}"#)?;
    let body = format!(r#"{{"vaccineId":3, "slotId":{single}, "userId":5}}"#);
    book("Book a time", &body)?;
    let body = format!(
        r#"{{"vaccineId":1, "slotId":{first}, "userId":5, "plan":"series", "nextSlotId":{second}}}"#
    );
    book("Book the times of both doses", &body)?;
    writeln!(out, "\n  The times of a day at a site, and the doses of its lots:")?;
    let query = format!("campaignId=2&siteId=1&from={from}&to={from}");
    writeln!(out, "    curl '{gateway}/slots?{query}'")?;
    writeln!(out, "    curl {gateway}/stocks/1/3")?;
    writeln!(out, "\n  The load spike of the reference (siege is a Debian package):")?;
    writeln!(
        out,
        "    siege -c100 -t10S -v --content-type \"application/json\" '{booking}/bookings POST \
         {{\"vaccineId\":1, \"vcName\":\"FIZER\", \"userId\":5, \"status\":\"BOOCKED\"}}'"
    )
}
