//! The hosts of databases that are known by their names, and their pages on connecting.

/// A host of databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name.
    pub name: &'static str,
    /// Its page on certificates or connecting.
    pub page: &'static str,
    /// The place of the authority's certificate.
    pub authority: &'static str,
    suffixes: &'static [&'static str],
}

/// The providers. docs/providers.md has a section for each.
pub const PROVIDERS: [Provider; 9] = [
    Provider {
        name: "Supabase",
        page: "https://supabase.com/docs/guides/platform/ssl-enforcement",
        authority: "the dashboard has it in the database's settings, as prod-ca-2021.crt",
        suffixes: &["supabase.co", "supabase.com"],
    },
    Provider {
        name: "Amazon RDS",
        page: "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html",
        authority: "Amazon has a bundle for each region",
        suffixes: &["rds.amazonaws.com", "rds.amazonaws.com.cn"],
    },
    Provider {
        name: "Neon",
        page: "https://neon.com/docs/connect/connect-securely",
        authority: "its certificates are public, so none is needed",
        suffixes: &["neon.tech"],
    },
    Provider {
        name: "DigitalOcean",
        page: "https://docs.digitalocean.com/products/databases/postgresql/how-to/connect/",
        authority: "the control panel has it beside the connection details",
        suffixes: &["db.ondigitalocean.com"],
    },
    Provider {
        name: "Cloud SQL",
        page: "https://cloud.google.com/sql/docs/postgres/configure-ssl-instance",
        authority: "the instance's page has it under Connections",
        suffixes: &["sql.goog"],
    },
    Provider {
        name: "Heroku",
        page: "https://devcenter.heroku.com/articles/connecting-heroku-postgres",
        authority: "its certificates are self-signed, so the server's own is the one to pin",
        suffixes: &["compute-1.amazonaws.com", "compute.amazonaws.com"],
    },
    Provider {
        name: "Scaleway Serverless SQL",
        page: "https://www.scaleway.com/en/docs/serverless-sql-databases/api-cli/secure-connection-ssl-tls/",
        authority: "its certificates are public, so none is needed",
        suffixes: &["sdb.fr-par.scw.cloud", "sdb.nl-ams.scw.cloud", "sdb.pl-waw.scw.cloud"],
    },
    Provider {
        name: "Scaleway Managed Database",
        page: "https://www.scaleway.com/en/docs/managed-databases-for-postgresql-and-mysql/api-cli/verify-ca-postgresql/",
        authority: "the console has it on the instance's page",
        suffixes: &["rdb.fr-par.scw.cloud", "rdb.nl-ams.scw.cloud", "rdb.pl-waw.scw.cloud"],
    },
    Provider {
        name: "Azure",
        page: "https://learn.microsoft.com/azure/postgresql/security/security-tls",
        authority: "its certificates come from public authorities, so none is needed",
        suffixes: &["postgres.database.azure.com"],
    },
];

impl Provider {
    /// Finds the provider of a host by the end of its name.
    pub fn of_host(host: &str) -> Option<&'static Self> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_below =
            |suffix: &&str| host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'));
        PROVIDERS.iter().find(|provider| provider.suffixes.iter().any(is_below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_known_by_the_end_of_the_host() {
        for (host, name) in [
            ("db.abcdefghij.supabase.co", Some("Supabase")),
            ("aws-0-eu-central-1.pooler.supabase.com", Some("Supabase")),
            ("AWS-0-eu-central-1.pooler.SUPABASE.com.", Some("Supabase")),
            ("app.abc123.eu-west-1.rds.amazonaws.com", Some("Amazon RDS")),
            ("ep-cool-1-pooler.us-east-2.aws.neon.tech", Some("Neon")),
            ("db-postgresql-fra1-1.b.db.ondigitalocean.com", Some("DigitalOcean")),
            ("abc.def.europe-west1.sql.goog", Some("Cloud SQL")),
            ("ec2-1-2-3-4.compute-1.amazonaws.com", Some("Heroku")),
            ("ec2-1-2-3-4.eu-west-1.compute.amazonaws.com", Some("Heroku")),
            ("app.postgres.database.azure.com", Some("Azure")),
            ("1234.pg.sdb.fr-par.scw.cloud", Some("Scaleway Serverless SQL")),
            ("notsupabase.co", None),
            ("supabase.co.example.com", None),
            ("10.0.0.1", None),
        ] {
            assert_eq!(Provider::of_host(host).map(|provider| provider.name), name, "{host}");
        }
    }
}
