insert into billing.plans values ('free', 0), ('pro', 9.90);
insert into auth.users select md5('u' || n)::uuid, n || '@example.com'
    from generate_series(1, 1200) n;
insert into profiles select md5('u' || n)::uuid, 'n' || n,
    case when n % 2 = 0 then 'pro' else 'free' end, timestamptz '2026-01-01' + n * interval '1 s'
    from generate_series(1, 1200) n;
update profiles set name = 'a name that is far too long' where id = md5('u7')::uuid;
insert into folders select md5('f' || n)::uuid,
    case when n > 1 then md5('f' || 1 + (n * 7919) % (n - 1))::uuid end, 'f' || n
    from generate_series(1, 1500) n;
insert into tracks select 1, n, n from generate_series(1, 1200) n
