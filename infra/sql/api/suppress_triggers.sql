-- Lets the service role suppress ordinary triggers for the rest of its transaction, as logical replication does. To be
-- run once in the project's SQL editor, by a role that may set session_replication_role, as Supabase's postgres may;
-- running it again changes nothing.
--
-- Why: where both projects have the same triggers, a row went through them in the source. Fired again in the target,
-- they stamp it anew, count it twice, or write its audit row twice.
-- What it gives away: with it the service role, and nobody else, can write rows in a transaction in which no ordinary
-- trigger fires, those that keep foreign keys among them. Syncline checks foreign keys itself then. The right ends with
-- each transaction, no role gets it for its sessions, and dropping the two functions takes it back.
begin;

create or replace function public.syncline_suppress_triggers()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    -- A statement and no call of set_config: Supabase allows the one and not the other.
    set local session_replication_role = replica;
end
$function$;

create or replace function public.syncline_fire_triggers()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    set local session_replication_role to default;
end
$function$;

do $do$
declare
    function text;
    name text;
begin
    foreach function in array array['syncline_suppress_triggers', 'syncline_fire_triggers'] loop
        execute pg_catalog.format('revoke all on function public.%I() from public', function);
        foreach name in array array['anon', 'authenticated'] loop
            if exists (select from pg_catalog.pg_roles where rolname = name) then
                execute pg_catalog.format('revoke all on function public.%I() from %I', function, name);
            end if;
        end loop;
        if exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
            execute pg_catalog.format('grant execute on function public.%I() to service_role', function);
        end if;
    end loop;
    -- It ends here, and not in a run, where this role may not set the parameter itself.
    perform public.syncline_suppress_triggers();
    perform public.syncline_fire_triggers();
end
$do$;

commit;
