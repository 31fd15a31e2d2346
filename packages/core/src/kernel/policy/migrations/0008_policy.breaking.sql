-- Roles as data, delegation, the platform's own people, and a wall with one door per verb.
-- Breaking: a server that does not know it would give back rights that a city has taken away.

-- The application's policies on a table: one for each verb that it was granted, and none for another. A right that is granted by mistake
-- one day opens nothing by itself.
create function mahalla.wall(target regclass) returns void
  language plpgsql
  as $$
declare
  verb text;
  own constant text := '(tenant_id = (select mahalla.current_tenant()))';
begin
  foreach verb in array array['select', 'insert', 'update', 'delete'] loop
    -- Of a part of the columns is enough for a policy.
    continue when not case when verb = 'delete' then has_table_privilege('mahalla_app', target, verb)
                           else has_any_column_privilege('mahalla_app', target, verb) end;
    execute format('create policy %I on %s for %s to mahalla_app', 'tenant_' || verb, target, verb)
      || case when verb <> 'insert' then ' using ' || own else '' end
      || case when verb in ('insert', 'update') then ' with check ' || own else '' end;
  end loop;
end
$$;

create or replace function mahalla.protect(target regclass, app_rights text) returns void
  language plpgsql
  as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  execute format('create policy platform_rows on %s to mahalla_platform using (true) with check (true)', target);
  execute format('grant %s on %s to mahalla_app', app_rights, target);
  execute format('grant select, insert, update, delete on %s to mahalla_platform', target);
  perform mahalla.wall(target);
end
$$;

do $$
declare
  target regclass;
begin
  for target in
    select p.polrelid::regclass from pg_policy p join pg_class c on c.oid = p.polrelid
    where p.polname = 'tenant_rows' and c.relnamespace = 'mahalla'::regnamespace
  loop
    execute format('drop policy tenant_rows on %s', target);
    perform mahalla.wall(target);
  end loop;
end
$$;

-- A closed city: its doors answer nobody until it is opened again.
alter table mahalla.tenant add column suspended_at timestamptz, add column suspended_because text;

-- What a city has made of the roles it started with, and those of its own. A role that is not here is as the deployment has it.
create table mahalla.role (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id text not null check (id ~ '^[a-z][a-z0-9-]{0,59}$'),
  title text not null,
  permissions text[] not null,
  version integer not null check (version >= 1),
  updated_at timestamptz not null,
  primary key (tenant_id, id)
);
select mahalla.protect('mahalla.role', 'select, insert, update, delete');

-- Another value after every change of a city's roles. Every request compares it, so that no server goes on with old ones.
create table mahalla.role_set (
  tenant_id uuid primary key references mahalla.tenant on delete cascade,
  version uuid not null
);
select mahalla.protect('mahalla.role_set', 'select, insert, update');

-- What one member of staff has handed to another until a date. It is worth something only while the giver has the role there.
create table mahalla.delegation (
  tenant_id uuid not null,
  id uuid not null,
  giver_id uuid not null,
  principal_id uuid not null,
  role text not null,
  -- A part of the role's permissions; all of them when null.
  permissions text[],
  -- Valid in this territory and below; everywhere when null.
  territory_id uuid,
  given_at timestamptz not null,
  until timestamptz not null,
  ended_at timestamptz,
  ended_by uuid,
  ended_because text check (ended_because in ('revoked', 'role-lost')),
  primary key (tenant_id, id),
  check (giver_id <> principal_id),
  check (until > given_at),
  check ((ended_at is null) = (ended_because is null)),
  foreign key (tenant_id, giver_id) references mahalla.principal (tenant_id, id) on delete cascade,
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade,
  foreign key (tenant_id, territory_id) references mahalla.territory (tenant_id, id)
);
create index delegation_by_receiver on mahalla.delegation (tenant_id, principal_id) where ended_at is null;
create index delegation_by_giver on mahalla.delegation (tenant_id, giver_id) where ended_at is null;
select mahalla.protect('mahalla.delegation', 'select, insert, update');

-- Who a verified token speaks for, with what they hold, in one round trip and without a transaction: the token has already said which
-- tenant. Also for a visitor, whose principal is null. `known` is the version of the city's roles that the server has; the roles come along
-- when it is another one. Null when there is no such tenant. PL/pgSQL, because it keeps its plan in the session.
-- Audited: reads tables by the given tenant and principal only.
create function mahalla.actor_of(tenant uuid, principal uuid, known uuid) returns jsonb
  language plpgsql stable security definer set search_path = pg_catalog, mahalla
  as $$
begin
  return (
    select jsonb_build_object(
      'suspended', t.suspended_at is not null,
      'kind', p.kind,
      'status', p.status,
      'version', s.version,
      'roles', case when s.version is distinct from known then coalesce((
        select jsonb_agg(jsonb_build_object('id', r.id, 'title', r.title, 'permissions', r.permissions))
        from mahalla.role r where r.tenant_id = tenant), '[]') end,
      'grants', coalesce((
        select jsonb_agg(jsonb_build_object('role', g.role, 'territoryId', g.territory_id,
          'until', (extract(epoch from g.until) * 1000)::bigint))
        from mahalla.role_grant g where g.tenant_id = tenant and g.principal_id = principal), '[]'),
      'delegations', coalesce((
        select jsonb_agg(jsonb_build_object('role', d.role, 'territoryId', d.territory_id, 'permissions', d.permissions,
          'until', (extract(epoch from least(d.until, g.until)) * 1000)::bigint))
        from mahalla.delegation d
        join mahalla.principal giver on giver.tenant_id = tenant and giver.id = d.giver_id and giver.status = 'active'
        left join mahalla.territory place on place.tenant_id = tenant and place.id = d.territory_id
        cross join lateral (
          select max(coalesce(g.until, 'infinity')) as until from mahalla.role_grant g
          where g.tenant_id = tenant and g.principal_id = d.giver_id and g.role = d.role
            and (g.territory_id is null or g.territory_id = any (place.path))
        ) g
        where d.tenant_id = tenant and d.principal_id = principal and d.ended_at is null and g.until is not null), '[]'))
    from mahalla.tenant t
    left join mahalla.principal p on p.tenant_id = tenant and p.id = principal
    left join mahalla.role_set s on s.tenant_id = tenant
    where t.tenant_id = tenant
  );
end
$$;
revoke execute on function mahalla.actor_of(uuid, uuid, uuid) from public;
grant execute on function mahalla.actor_of(uuid, uuid, uuid) to mahalla_app;
drop function mahalla.principal_of(uuid, uuid);

-- Tables that belong to no tenant, beside those of 0001_kernel.sql: mahalla.platform_admin, mahalla.platform_link, mahalla.platform_log.

-- Who runs the deployment. They belong to no city and are nobody in any.
create table mahalla.platform_admin (
  id uuid primary key,
  name text not null,
  status text not null default 'active' check (status in ('active', 'blocked')),
  created_at timestamptz not null
);
grant select, insert, update on mahalla.platform_admin to mahalla_platform;

-- One-time links by which they sign in; only a hash is kept.
create table mahalla.platform_link (
  token_hash text primary key,
  admin_id uuid not null references mahalla.platform_admin on delete cascade,
  expires_at timestamptz not null
);
grant select, insert, delete on mahalla.platform_link to mahalla_platform;

-- What they did, in the order in which they did it. Only ever added to.
create table mahalla.platform_log (
  position bigint generated always as identity primary key,
  id uuid not null unique,
  -- Null for whoever works on the machine itself.
  admin_id uuid references mahalla.platform_admin,
  operation text not null,
  -- The city it touched; it stays named when the city is gone.
  city uuid,
  detail jsonb not null,
  happened_at timestamptz not null
);
grant select, insert on mahalla.platform_log to mahalla_platform;
