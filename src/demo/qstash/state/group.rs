//! URL groups, which the API calls topics: one publish for several destinations.

use super::records::{Endpoint, Group};
use super::store::State;
use crate::demo::qstash::terms::check_url;
use crate::demo::qstash::{Millis, Refused};

impl State {
    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The group of a name.
    pub fn group(&self, name: &str) -> Result<&Group, Refused> {
        self.groups.get(name).ok_or_else(|| not_found(name))
    }

    /// Adds endpoints; one with the name or the URL of another replaces it.
    pub fn add_endpoints(
        &mut self,
        name: &str,
        endpoints: Vec<Endpoint>,
        now: Millis,
    ) -> Result<(), Refused> {
        for endpoint in &endpoints {
            check_url(&endpoint.url)
                .map_err(|why| Refused::bad(format!("invalid endpoint url: {why}")))?;
        }
        let group = self.groups.entry(name.to_owned()).or_insert_with(|| Group {
            name: name.to_owned(),
            endpoints: Vec::new(),
            created_at: now,
            updated_at: now,
        });
        for endpoint in endpoints {
            group.endpoints.retain(|old| {
                let same_name = endpoint.name.is_some() && old.name == endpoint.name;
                !same_name && old.url != endpoint.url
            });
            group.endpoints.push(endpoint);
        }
        group.updated_at = now;
        Ok(())
    }

    /// Removes the endpoints that have one of these names or URLs. A group without endpoints goes.
    pub fn remove_endpoints(
        &mut self,
        name: &str,
        named: &[(Option<String>, Option<String>)],
        now: Millis,
    ) -> Result<(), Refused> {
        let group = self.groups.get_mut(name).ok_or_else(|| not_found(name))?;
        group.endpoints.retain(|endpoint| {
            let is_meant = |(name, url): &(Option<String>, Option<String>)| {
                (name.is_some() && *name == endpoint.name) || url.as_ref() == Some(&endpoint.url)
            };
            !named.iter().any(is_meant)
        });
        group.updated_at = now;
        if group.endpoints.is_empty() {
            self.groups.remove(name);
        }
        Ok(())
    }

    /// Deletes a group; what was published to it is still delivered.
    pub fn delete_group(&mut self, name: &str) -> Result<(), Refused> {
        self.groups.remove(name).map(|_| ()).ok_or_else(|| not_found(name))
    }
}

fn not_found(name: &str) -> Refused {
    Refused::not_found(format!("url group {name} not found"))
}
