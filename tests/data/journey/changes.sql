begin; update tracks set pos = pos + 100000; update tracks set pos = pos - 99999;
insert into tracks values (1, 1, 0); commit;
insert into auth.users values (md5('new')::uuid, 'new@example.com');
insert into billing.plans values ('team', 29);
insert into profiles values (md5('new')::uuid, 'new', 'team');
update folders set name = name || '!' where name like 'f1%'
