do $$ declare own name; begin
    for own in select nspname from pg_namespace where nspname !~ '^pg_|^information_schema$' loop
        execute format('grant usage on schema %I to service_role;
            grant all on all tables in schema %1$I to service_role;
            grant all on all sequences in schema %1$I to service_role;
            grant execute on all functions in schema %1$I to service_role', own);
    end loop; end $$
