-- What lets Syncline work on a project over its API as it works on a Postgres server: many statements in one call and
-- one transaction. To be run once in the project's SQL editor; running it again changes nothing.
--
-- It runs with the rights of whoever calls it, and nobody but service_role may: the key that reads and writes every
-- row of the project's API already. Whatever that role may do in the database can be done through it.
-- At no moment may anybody call it who is not to.
begin;

-- It had arguments of their own once, which the API reads more than once.
drop function if exists public.syncline_run(json, json, boolean);

-- It takes the request's body as it is: in `script` the statements, a name that the one before does not take; in `keep`
-- whether they are to be kept; and pages of rows under any other names. Each `->` on a page would read it from its beginning to its end, and so would a cast of it
-- to json: what is large is taken apart once, and put together by what makes json of json without looking.
create or replace function public.syncline_run(json)
-- Rows: first what each step gives as JSON, which may be a page, and is not put together once more; in the last row all
-- other answers, and how it ended. Of a single value the API would read the whole again.
returns setof json
language plpgsql
security invoker
-- PostgREST gives it this long, where the service role has a few seconds otherwise; a gateway waits for a minute.
set statement_timeout = '55s'
as $function$
declare
    steps json;
    pages json[] := '{}';
    keep boolean := false;
    member record;
    step record;
    part record;
    statement text;
    page json;
    lines text[];
    -- The parts of its page that a step is still to be run for, the next one last: where each begins and ends.
    begins int4[];
    ends int4[];
    until timestamptz;
    refused int4;
    is_over boolean;
    told text[];
    found record;
    found_lines json[];
    written bigint;
    answer json;
    answers json[] := '{}';
    -- The answer has a row of its own.
    apart boolean;
    told_code text;
    told_message text;
    told_detail text;
    told_schema text;
    told_table text;
    told_column text;
    told_constraint text;
    told_context text;
    failed json;
begin
    for member in select key, value from pg_catalog.json_each($1) loop
        case member.key
            when 'script' then steps := member.value;
            when 'keep' then keep := member.value::text::boolean;
            else pages := pg_catalog.array_append(pages, member.value);
        end case;
    end loop;
    -- What this block does is undone unless it is to be kept, the settings among it. The answers outlive it.
    begin
        <<script>>
        for step in
            select s.* from pg_catalog.json_array_elements(steps) as of (value),
                pg_catalog.json_to_record(of.value) as s (sql text, gives text, "values" json, page int4,
                    "only" text, alone boolean, parts json, expects json, again text)
        loop
            -- A step of another way to do the same.
            if step."only" is not null
                and step."only" is distinct from pg_catalog.current_setting('syncline.way', true)
            then
                answers := pg_catalog.array_append(answers, case step.gives when 'rows' then '[]' else '0' end::json);
                continue;
            end if;
            page := pages[step.page + 1];
            begins := '{1}';
            ends := '{1}';
            if step.parts is not null then
                lines := array(select value::text from pg_catalog.json_array_elements(page));
                select pg_catalog.array_agg((value ->> 0)::int4 order by ordinality desc),
                        pg_catalog.array_agg((value ->> 1)::int4 order by ordinality desc)
                    into begins, ends
                    from pg_catalog.json_array_elements(step.parts -> 'ranges') with ordinality;
                until := pg_catalog.clock_timestamp() + (step.parts #>> '{halving,ms}')::float8 * interval '1 ms';
                refused := 0;
            end if;
            told := '{}';
            apart := false;
            while begins <> '{}' and refused <= (step.parts #>> '{halving,most}')::int4 is not false
                and (told = '{}' or pg_catalog.clock_timestamp() < until is not false)
            loop
                declare
                    top int4 := pg_catalog.cardinality(begins);
                    first int4 := begins[top];
                    last int4 := ends[top];
                begin
                    begins := begins[:top - 1];
                    ends := ends[:top - 1];
                    if step.parts is not null then
                        page := ('[' || pg_catalog.array_to_string(lines[first:last], ',') || ']')::json;
                    end if;
                    for part in
                        select step.sql, step.gives, step."values" where step.parts is null
                        union all
                        select s.* from pg_catalog.json_to_recordset(step.parts -> 'steps')
                            as s (sql text, gives text, "values" json)
                    loop
                        statement := part.sql;
                        if part.gives = 'rows' then
                            found_lines := '{}';
                            for found in execute statement using part."values", page loop
                                found_lines := pg_catalog.array_append(found_lines, pg_catalog.row_to_json(found));
                            end loop;
                            answer := pg_catalog.array_to_json(found_lines);
                        elsif part.gives = 'json' then
                            execute statement into answer using part."values", page;
                            answer := coalesce(answer, 'null');
                            apart := step.parts is null;
                        else
                            execute statement using part."values", page;
                            get diagnostics written = row_count;
                            answer := pg_catalog.to_json(written);
                        end if;
                    end loop;
                    if step.parts is not null then
                        told := pg_catalog.array_append(told,
                            pg_catalog.concat('[', first, ',', last, ',', answer, ']'));
                    end if;
                exception when others or assert_failure then
                    get stacked diagnostics
                        told_code = returned_sqlstate,
                        told_message = message_text,
                        told_detail = pg_exception_detail,
                        told_schema = schema_name,
                        told_table = table_name,
                        told_column = column_name,
                        told_constraint = constraint_name,
                        told_context = pg_exception_context;
                    answer := pg_catalog.json_build_object(
                        'code', told_code,
                        'message', told_message,
                        'detail', nullif(told_detail, ''),
                        'schema', nullif(told_schema, ''),
                        'table', nullif(told_table, ''),
                        'column', nullif(told_column, ''),
                        'constraint', nullif(told_constraint, ''),
                        -- From the statement on, or in its last line, it speaks of this function alone.
                        'context', case pg_catalog.strpos(told_context, statement)
                            when 0 then pg_catalog.regexp_replace(told_context, '[^\n]*$', '')
                            else pg_catalog.left(told_context, pg_catalog.strpos(told_context, statement) - 1)
                        end);
                    is_over := exists (
                        select from pg_catalog.json_array_elements_text(step.parts #> '{halving,stops}') as stops(class)
                        where pg_catalog.starts_with(told_code, class));
                    if step.alone then
                        answer := pg_catalog.json_build_object('refused', answer);
                    elsif step.parts -> 'halving' is null then
                        failed := answer;
                        exit script;
                    elsif first < last and not is_over then
                        begins := begins || array[(first + last + 1) / 2, first];
                        ends := ends || array[last, (first + last - 1) / 2];
                    else
                        refused := refused + 1;
                        told := pg_catalog.array_append(told,
                            pg_catalog.concat('[', first, ',', last, ',null,', answer, ']'));
                        -- No half of it would fare better, nor what stands behind it.
                        begins := case when is_over then '{}' else begins end;
                    end if;
                end;
            end loop;
            if step.parts is not null then
                answer := '[' || pg_catalog.array_to_string(told, ',') || ']';
            end if;
            answers := pg_catalog.array_append(answers, case when apart then null else answer end);
            if apart then
                return next answer;
            end if;
            -- What was decided on an answer holds only where it is given again.
            if step.again is not null and step.again <> answer::text then
                keep := false;
                exit;
            end if;
            -- An answer that is not the one that was counted on: what would follow was made for another.
            if step.expects is not null and (case step.expects::text
                when '"some"' then answer::text = '[]'
                else answer::jsonb <> step.expects::jsonb end)
            then
                keep := false;
                exit;
            end if;
        end loop;
        if keep and failed is null then
            -- Now, where a refusal can be told in full, and not at the transaction's end.
            set constraints all immediate;
        else
            raise exception using errcode = 'SL000';
        end if;
    exception
        when sqlstate 'SL000' then
            keep := false;
        when others or assert_failure then
            get stacked diagnostics
                told_code = returned_sqlstate,
                told_message = message_text,
                told_detail = pg_exception_detail,
                told_schema = schema_name,
                told_table = table_name,
                told_column = column_name,
                told_constraint = constraint_name,
                told_context = pg_exception_context;
            keep := false;
            failed := pg_catalog.json_build_object(
                'code', told_code,
                'message', told_message,
                'detail', nullif(told_detail, ''),
                'schema', nullif(told_schema, ''),
                'table', nullif(told_table, ''),
                'column', nullif(told_column, ''),
                'constraint', nullif(told_constraint, ''),
                'context', pg_catalog.left(told_context, greatest(
                    pg_catalog.strpos(told_context, '"set constraints all immediate"') - 1, 0)));
    end;
    return next pg_catalog.json_build_object('answers', answers, 'kept', keep, 'failed', failed);
end
$function$;

revoke all on function public.syncline_run(json) from public;

do $do$
declare
    name text;
begin
    foreach name in array array['anon', 'authenticated'] loop
        if exists (select from pg_catalog.pg_roles where rolname = name) then
            execute pg_catalog.format('revoke all on function public.syncline_run(json) from %I', name);
        end if;
    end loop;
    if exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
        grant execute on function public.syncline_run(json) to service_role;
    end if;
end
$do$;

commit;

-- PostgREST keeps a list of the functions it may call.
notify pgrst, 'reload schema';
