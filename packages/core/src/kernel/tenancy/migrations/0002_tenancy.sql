-- Municipalities, their areas, and who acts in them.

create table mahalla.tenant (
  tenant_id uuid primary key,
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name text not null,
  hosts text[] not null default '{}',
  -- Time zone (IANA), languages (BCP 47), country (ISO 3166-1), currency (ISO 4217), working calendar, limits.
  settings jsonb not null,
  created_at timestamptz not null default now()
);
select mahalla.protect('mahalla.tenant', 'select');

create table mahalla.territory (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  parent_id uuid,
  kind text not null,
  name jsonb not null,
  -- Itself and all its ancestors, so that "valid below" is one containment test.
  path uuid[] not null,
  -- GeoJSON Polygon or MultiPolygon (RFC 7946), and its bounds.
  boundary jsonb,
  west double precision,
  south double precision,
  east double precision,
  north double precision,
  primary key (tenant_id, id),
  foreign key (tenant_id, parent_id) references mahalla.territory (tenant_id, id)
);
select mahalla.protect('mahalla.territory', 'select, insert, update, delete');

create table mahalla.principal (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  kind text not null check (kind in ('person', 'staff', 'app', 'device', 'system')),
  name text,
  -- E.164. Unique in a tenant, never across: a global constraint would tell one city about another's people.
  phone text,
  -- Identifier in a host application's own login.
  external_id text,
  language text not null default 'en',
  status text not null default 'active' check (status in ('active', 'blocked', 'erased')),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, phone),
  unique (tenant_id, external_id)
);
select mahalla.protect('mahalla.principal', 'select, insert, update');

create table mahalla.role_grant (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  role text not null,
  -- Valid in this territory and below; everywhere when null.
  territory_id uuid,
  granted_by uuid,
  granted_at timestamptz not null default now(),
  until timestamptz,
  primary key (tenant_id, id),
  unique nulls not distinct (tenant_id, principal_id, role, territory_id),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade,
  foreign key (tenant_id, territory_id) references mahalla.territory (tenant_id, id)
);
select mahalla.protect('mahalla.role_grant', 'select, insert, update, delete');

-- Who a verified token speaks for, with what they were given, in one round trip and without a transaction: the token has already
-- said which tenant. Null when there is no such principal. Audited: reads two tables by the given tenant and principal only.
create function mahalla.principal_of(tenant uuid, principal uuid) returns jsonb
  language sql stable security definer set search_path = pg_catalog, mahalla
  as $$
    select jsonb_build_object('kind', p.kind, 'status', p.status, 'grants', coalesce((
      select jsonb_agg(jsonb_build_object('role', g.role, 'territoryId', g.territory_id,
        'until', (extract(epoch from g.until) * 1000)::bigint))
      from mahalla.role_grant g where g.tenant_id = tenant and g.principal_id = principal), '[]'))
    from mahalla.principal p where p.tenant_id = tenant and p.id = principal
  $$;
revoke execute on function mahalla.principal_of(uuid, uuid) from public;
grant execute on function mahalla.principal_of(uuid, uuid) to mahalla_app;

-- Rate limits: when the next one would arrive, in epoch milliseconds, if they came evenly (GCRA). Losing it in a crash costs nothing.
create unlogged table mahalla.rate_limit (
  tenant_id uuid not null,
  key text not null,
  arrival double precision not null,
  primary key (tenant_id, key)
);
select mahalla.protect('mahalla.rate_limit', 'select, insert, update');
