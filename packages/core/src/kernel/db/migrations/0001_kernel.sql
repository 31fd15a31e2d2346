-- The schema, the tenant of a transaction, and the one way to put a table behind row-level security.
-- Roles mahalla_app and mahalla_platform (NOLOGIN, they hold rights and policies) exist before the first migration.

grant usage on schema mahalla to mahalla_app, mahalla_platform;

-- After a committed SET LOCAL the setting is an empty string, not NULL: nullif makes both fail closed.
create function mahalla.current_tenant() returns uuid
  language sql stable parallel safe
  as $$ select nullif(current_setting('mahalla.tenant', true), '')::uuid $$;

-- Puts a table of tenants' rows behind row-level security. `app` gets the named rights inside its tenant only;
-- `platform` serves the listed cross-tenant work.
create function mahalla.protect(target regclass, app_rights text) returns void
  language plpgsql
  as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  execute format('create policy tenant_rows on %s to mahalla_app
    using (tenant_id = (select mahalla.current_tenant()))
    with check (tenant_id = (select mahalla.current_tenant()))', target);
  execute format('create policy platform_rows on %s to mahalla_platform using (true) with check (true)', target);
  execute format('grant %s on %s to mahalla_app', app_rights, target);
  execute format('grant select, insert, update, delete on %s to mahalla_platform', target);
end
$$;

-- Tables that belong to no tenant: mahalla.migration, mahalla.lease, mahalla.schedule, mahalla.case_type. This is the whole list.

-- Who holds a piece of work that only one process may do: sequencer, sweepers, schedules.
create table mahalla.lease (
  name text primary key,
  holder text not null,
  until timestamptz not null,
  term bigint not null default 1
);
grant select, insert, update, delete on mahalla.lease to mahalla_platform;

-- When repeated work was last begun.
create table mahalla.schedule (
  id text primary key,
  last_run_at timestamptz not null
);
grant select, insert, update, delete on mahalla.schedule to mahalla_platform;

create table mahalla.case_type (
  id text not null,
  version integer not null,
  definition jsonb not null,
  created_at timestamptz not null default now(),
  primary key (id, version)
);
grant select on mahalla.case_type to mahalla_app;
grant select, insert, update, delete on mahalla.case_type to mahalla_platform;
