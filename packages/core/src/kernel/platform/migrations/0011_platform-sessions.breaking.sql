-- Super-admins show a second factor, and their sign-ins can be taken away. A server that does not know this would let in whoever has the
-- first factor alone: breaking.

-- RFC 6238. The secret itself is not here: it is derived from the deployment's secret and this salt.
alter table mahalla.platform_admin
  add column totp_salt text,
  -- Null until the first right code: it demands nothing before.
  add column totp_confirmed_at timestamptz,
  -- The last time step of which a code was taken; none of it or before it is taken again.
  add column totp_last_step bigint not null default 0;

-- Tables that belong to no tenant, beside those of 0008_policy.breaking.sql: mahalla.platform_session.

-- One sign-in by a link. Read with every request, so that it ends with the next one.
create table mahalla.platform_session (
  id uuid primary key,
  admin_id uuid not null references mahalla.platform_admin on delete cascade,
  -- none: there is none to show. pending: it may do nothing but show one. passed: shown, or set up in it.
  second_factor text not null check (second_factor in ('none', 'pending', 'passed')),
  -- Codes that were tried in it, the right one too.
  tries smallint not null default 0,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz
);
create index platform_session_of on mahalla.platform_session (admin_id);
grant select, insert, update, delete on mahalla.platform_session to mahalla_platform;
