//! All parts of the system, as they are shipped: in one process, or each in its own.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use drill::{Broken, Target};

use crate::server::{self, Server};

/// The parts and their ports, before the offset; who listens to others starts before these.
const BOOKING: (&str, u16) = ("booking", 8082);
const VACCINE: (&str, u16) = ("vaccine", 8081);
const INJECTION: (&str, u16) = ("injection", 8084);
const MYPAGE: (&str, u16) = ("mypage", 8083);
const GATEWAY: (&str, u16) = ("gateway", 8088);
const PARTS: [(&str, u16); 5] = [MYPAGE, INJECTION, VACCINE, BOOKING, GATEWAY];

/// Every part, running.
pub(crate) struct System {
    pub(crate) booking: Target,
    pub(crate) vaccine: Target,
    injection: Target,
    mypage: Target,
    processes: Vec<Server>,
}

impl System {
    /// `serve`: everything in one process, on SQLite, as an operator starts it.
    pub(crate) async fn together() -> Result<Self, Broken> {
        let ports = PARTS.map(|(_, port)| port);
        let offset = server::free_offset(&ports)?;
        let server = Server::part(&["serve"], &[], &ports, Some(offset)).await?;
        Self::of(vec![server], offset)
    }

    /// One process a part, all on that PostgreSQL; they tell each other directly, as in `serve`.
    pub(crate) async fn apart(database: &str) -> Result<Self, Broken> {
        let offset = server::free_offset(&PARTS.map(|(_, port)| port))?;
        let urls = [VACCINE, BOOKING, INJECTION, MYPAGE].map(|(name, port)| {
            (format!("{}_URL", name.to_uppercase()), format!("http://127.0.0.1:{}", port + offset))
        });
        let mut settings = vec![("DATABASE_URL", database)];
        settings.extend(urls.iter().map(|(name, url)| (name.as_str(), url.as_str())));
        let mut processes = Vec::new();
        for (name, port) in PARTS {
            processes.push(Server::part(&[name], &settings, &[port], Some(offset)).await?);
        }
        Self::of(processes, offset)
    }

    fn of(processes: Vec<Server>, offset: u16) -> Result<Self, Broken> {
        Ok(Self {
            booking: server::local(BOOKING.1 + offset)?,
            vaccine: server::local(VACCINE.1 + offset)?,
            injection: server::local(INJECTION.1 + offset)?,
            mypage: server::local(MYPAGE.1 + offset)?,
            processes,
        })
    }

    /// From its start to the first answer on every port; of several processes the sum.
    pub(crate) fn ready_after(&self) -> Duration {
        self.processes.iter().map(|process| process.ready_after).sum()
    }

    /// Resident memory of all its processes.
    pub(crate) fn memory_mib(&self) -> Result<f64, Broken> {
        self.processes.iter().map(Server::memory_mib).sum()
    }

    /// Where the first process keeps its data.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.processes.first().map(Server::folder)
    }

    /// How many bookings it keeps.
    pub(crate) async fn booked(&self) -> Result<u64, Broken> {
        let list = server::get(&self.booking, "/bookings?size=1").await?;
        list["page"]["totalElements"].as_u64().ok_or_else(|| "a list without a total".into())
    }

    /// How long it takes until everybody who follows has heard of every booking: the ledger, which
    /// must agree, the desk, and what citizens see. It is an error if that takes longer than `within`.
    ///
    /// Every booking must be of that vaccine.
    pub(crate) async fn caught_up(
        &self,
        vaccine: i64,
        within: Duration,
    ) -> Result<Duration, Broken> {
        let start = Instant::now();
        let booked = self.booked().await?;
        server::nothing_unsettled(&self.vaccine, within).await?;
        let ledger = server::get(&self.vaccine, &format!("/vaccines/{vaccine}")).await?;
        if ledger["bookQty"].as_u64() != Some(booked) {
            return Err(format!("{booked} bookings, but the ledger says {ledger}").into());
        }
        for (follower, path) in
            [(&self.injection, "/injections?size=1"), (&self.mypage, "/mypages?size=1")]
        {
            let heard = |list: &serde_json::Value| list["page"]["totalElements"] == booked;
            server::eventually(follower, path, within, heard).await?;
        }
        Ok(start.elapsed())
    }
}
