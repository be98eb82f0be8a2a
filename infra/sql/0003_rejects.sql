-- Rows that the target refused: set aside with the database's own words, tried again by every run,
-- and gone from here once they are in the target or gone from the source.

create table sync_rejects (
    pipeline text not null,
    table_name text not null,
    key text[] not null,
    code text not null,
    reason text not null,
    attempts bigint not null default 1,
    first_seen timestamptz not null default now(),
    last_seen timestamptz not null default now(),
    primary key (pipeline, table_name, key)
);
comment on table sync_rejects is 'Syncline: rows that the target refused, with their keys and the reason';

alter table sync_rejects enable row level security;
do $$
declare
    api_role name;
begin
    for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated') loop
        execute pg_catalog.format('revoke all on sync_rejects from %I', api_role);
    end loop;
end
$$;
