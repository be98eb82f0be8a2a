-- An orders table as applications have them, with an index to page by, and a function that invents rows for it: the
-- same number gives the same row, whoever asks.

create table orders (
    id uuid primary key,
    customer uuid not null,
    state text not null,
    amount numeric(12, 2) not null,
    weight numeric,
    tags text[] not null,
    details jsonb not null,
    note text,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create index on orders (updated_at, id);

create function new_orders(first integer, last integer, since timestamptz, seconds_between float8)
returns setof orders language sql as $$
    select
        md5('order ' || n)::uuid,
        md5('customer ' || n % 50000)::uuid,
        (array['new', 'paid', 'packed', 'shipped', 'delivered', 'returned'])[1 + hash % 6],
        (hash % 100000) / 100.0,
        case when n % 3 > 0 then (hash % 30000) / 1000.0 end,
        (array['gift', 'express', 'fragile', 'b2b', 'web', 'app', 'newsletter'])[1 + n % 5 : 1 + n % 7],
        jsonb_build_object(
            'channel', case n % 3 when 0 then 'web' when 1 then 'store' else 'partner' end,
            'address', jsonb_build_object(
                'street', 'Example Street ' || n % 400, 'city', 'Sampletown ' || n % 900, 'zip', 10000 + n % 89999),
            'items', jsonb_build_array(
                jsonb_build_object('sku', 'SKU-' || hash % 9000, 'quantity', 1 + n % 4, 'price', (hash % 9000) / 100.0),
                jsonb_build_object('sku', 'SKU-' || n % 7000, 'quantity', 1, 'price', (n % 9000) / 100.0))),
        case when n % 4 = 0 then 'Please leave it with the neighbour at number ' || n % 300 end,
        created_at,
        created_at + case when n % 5 = 0 and last <= 1000000 then hash % 864000 else hash % 60 end * interval '1 second'
    from (
        select n, abs(hashtext(n::text)) as hash, since + n % 1000000 * seconds_between * interval '1 second' as created_at
        from generate_series(first, last) as n
    ) as numbered
$$;
