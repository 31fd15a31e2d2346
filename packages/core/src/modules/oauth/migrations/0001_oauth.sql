-- Apps of third parties: who they are, what citizens let them do, and what the OAuth provider remembers between two requests.

-- An app is a principal of the kind `app` too: what it does by itself it does in that name, and no person can ever have its id.
create table mahalla.oauth_client (
  tenant_id uuid not null,
  id uuid not null,
  owner_id uuid not null,
  name text not null,
  homepage text,
  auth_method text not null check (auth_method in ('none', 'client_secret_basic', 'private_key_jwt')),
  redirect_uris text[] not null,
  grant_types text[] not null,
  scopes text[] not null,
  jwks jsonb,
  jwks_uri text,
  status text not null check (status in ('pending', 'active', 'blocked')),
  created_at timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, id) references mahalla.principal (tenant_id, id) on delete cascade,
  foreign key (tenant_id, owner_id) references mahalla.principal (tenant_id, id) on delete cascade
);
-- A developer's own apps, and how many they have.
create index oauth_client_owner on mahalla.oauth_client (tenant_id, owner_id, id);
select mahalla.protect('mahalla.oauth_client', 'select, insert, update, delete');

-- SHA-256 of secrets of 256 random-looking bits: nothing to guess, so no slow hash is needed. Two may count at once while one is replaced.
create table mahalla.oauth_secret (
  tenant_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  hash text not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, client_id) references mahalla.oauth_client (tenant_id, id) on delete cascade
);
create index oauth_secret_client on mahalla.oauth_secret (tenant_id, client_id);
select mahalla.protect('mahalla.oauth_secret', 'select, insert, update, delete');

-- What a citizen lets an app do. A revoked one stays until it would have ended: every code and token of it is looked up through it.
create table mahalla.oauth_grant (
  tenant_id uuid not null,
  id text not null,
  client_id uuid not null,
  principal_id uuid not null,
  scopes text[] not null,
  payload jsonb not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  -- `citizen`, `app`, `reuse` of a code or refresh token.
  revoked_by text,
  primary key (tenant_id, id),
  foreign key (tenant_id, client_id) references mahalla.oauth_client (tenant_id, id) on delete cascade,
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
create index oauth_grant_principal on mahalla.oauth_grant (tenant_id, principal_id, client_id);
create index oauth_grant_client on mahalla.oauth_grant (tenant_id, client_id);
create index oauth_grant_age on mahalla.oauth_grant (expires_at);
select mahalla.protect('mahalla.oauth_grant', 'select, insert, update');

-- Codes, refresh tokens, sessions and the like. The id is a hash and the payload is sealed: what lies here cannot be used.
create table mahalla.oauth_record (
  tenant_id uuid not null,
  model text not null,
  id text not null,
  payload text not null,
  grant_id text,
  uid text,
  consumed_at timestamptz,
  expires_at timestamptz not null,
  primary key (tenant_id, model, id),
  foreign key (tenant_id, grant_id) references mahalla.oauth_grant (tenant_id, id) on delete cascade
);
create index oauth_record_grant on mahalla.oauth_record (tenant_id, grant_id) where grant_id is not null;
create index oauth_record_uid on mahalla.oauth_record (tenant_id, uid) where uid is not null;
create index oauth_record_age on mahalla.oauth_record (expires_at);
select mahalla.protect('mahalla.oauth_record', 'select, insert, update, delete');

-- What went wrong with an app's requests, for whoever develops it: the answers themselves tell an attacker nothing.
create table mahalla.oauth_error (
  tenant_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  at timestamptz not null,
  endpoint text not null,
  error text not null,
  detail text not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, client_id) references mahalla.oauth_client (tenant_id, id) on delete cascade
);
create index oauth_error_client on mahalla.oauth_error (tenant_id, client_id, id);
create index oauth_error_age on mahalla.oauth_error (at);
select mahalla.protect('mahalla.oauth_error', 'select, insert');

-- Whether a token's app may still act: its grant is neither revoked nor over (none is needed for what an app does by itself) and the app
-- is in force. Without a transaction, beside actor_of. Audited: reads two tables by the given tenant, app and grant only.
create function mahalla.app_in_force(tenant uuid, app uuid, grant_of text, at timestamptz) returns boolean
  language sql stable security definer set search_path = pg_catalog, mahalla
  as $$
    select exists (select from mahalla.oauth_client c where c.tenant_id = tenant and c.id = app and c.status = 'active')
      and (grant_of is null or exists (
        select from mahalla.oauth_grant g
        where g.tenant_id = tenant and g.id = grant_of and g.client_id = app and g.revoked_at is null and g.expires_at > at))
  $$;
revoke execute on function mahalla.app_in_force(uuid, uuid, text, timestamptz) from public;
grant execute on function mahalla.app_in_force(uuid, uuid, text, timestamptz) to mahalla_app;
