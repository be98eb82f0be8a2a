-- What a source looks like, in the call that describes it: of each table the greatest cursor, a digest over the versions of
-- the rows from there on, and whether there are rows past it or without one, as a survey takes them. It cannot be told yet
-- how a table is synced, so the cursor is guessed by the same rule; whoever uses the pulse compares it with what the tables
-- are synced by.
--
-- It is given the tables as `describe` tells them in `syncline.tables`, and in `syncline.asked` what the operator set and
-- how a window is looked at. A table that cannot be looked at, or not like this, leaves no pulse: an empty text.
do $pulse$
declare
    asked constant jsonb := current_setting('syncline.asked')::jsonb;
    described jsonb;
    facts jsonb;
    rule jsonb;
    chosen jsonb;
    kind jsonb;
    from_where text;
    place text;
    without text;
    newest text;
    seen jsonb;
    beats jsonb := '[]';
    -- In bytes: a million rows of the usual width, where nobody has counted them.
    large constant int8 := 268435456;
begin
    for described in select value from jsonb_array_elements(current_setting('syncline.tables')::jsonb) loop
        facts := described -> 2;
        -- It is passed over by the sync, too.
        continue when facts -> 'keys' = '[]' and not (asked ->> 'listed')::boolean;
        rule := (select of.value from jsonb_array_elements(asked -> 'rules') as of (value)
            where of.value ->> 'schema' = described ->> 0 and of.value ->> 'table' = described ->> 1 limit 1);
        chosen := null;
        kind := null;
        select c.value, k.value into chosen, kind
            from jsonb_array_elements(facts -> 'columns') as c (value)
            join jsonb_each(asked -> 'kinds') as k (key, value)
                on k.key = regexp_replace(c.value ->> 'type_name', '\([^)]*\)', '')
            where case when rule ->> 'cursor' is not null then c.value ->> 'name' = rule ->> 'cursor'
                else (c.value ->> 'name' in ('updated_at', 'created_at') and (k.value ->> 'of_time')::boolean)
                    or ((c.value ->> 'serial')::boolean and facts -> 'keys' -> 0 = jsonb_build_array(c.value ->> 'name'))
                end
            order by array_position(array['updated_at', 'created_at'], c.value ->> 'name')
            limit 1;
        from_where := format('from %s%I.%I as r where %s',
            case facts ->> 'kind' when 'r' then 'only ' else '' end,
            described ->> 0, described ->> 1, coalesce(rule ->> 'condition', 'true'));
        begin
            -- Rows of a view have no versions, and neither they nor a materialized view's have a cursor. And a run
            -- that finds something may look twice, so what takes its time is left to the survey: no index helps, and
            -- the table is large, or in partitions, whose rows nobody has counted.
            if (facts ->> 'kind' in ('r', 'p') and clock_timestamp() < now() + interval '5 seconds'
                and (coalesce(facts -> 'index_starts' ? (chosen ->> 'name'), false)
                    or (facts ->> 'kind' = 'r' and (facts ->> 'estimated_rows')::int8 < 1000000
                        and pg_relation_size(format('%I.%I', described ->> 0, described ->> 1)::regclass) < large)))
                is not true
            then
                raise exception 'it is left to the survey';
            end if;
            if chosen is null then
                newest := null;
                execute format('select %s %s', asked ->> 'whole', from_where) into seen;
            else
                place := format('r.%I', chosen ->> 'name');
                without := case when (chosen ->> 'not_null')::boolean then '' else format(' or %s is null', place) end;
                execute format(kind ->> 'look', from_where, place, without) into newest, seen;
            end if;
        exception when others then
            beats := null;
            exit;
        end;
        beats := beats || jsonb_build_array(
            jsonb_build_array(described -> 0, described -> 1, chosen -> 'name', newest, seen));
    end loop;
    perform set_config('syncline.pulse', coalesce(beats::text, ''), true);
end
$pulse$
