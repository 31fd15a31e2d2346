-- Slow hashes for codes, sessions with rotating refresh tokens, devices, second factors, passkeys, keys for servers.

-- scrypt with a salt for each row. A row without one is of an earlier version, and its code has run out.
alter table mahalla.sign_in_code add column salt text;

-- Where somebody has signed in before. The device's own number is kept as a keyed hash.
create table mahalla.sign_in_device (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  device_hash text not null,
  -- Coarse, as "Chrome on Android"; null where it did not say.
  name text,
  first_used_at timestamptz not null,
  last_used_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, principal_id, device_hash),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
-- Several people on one device.
create index sign_in_device_hash on mahalla.sign_in_device (tenant_id, device_hash);
select mahalla.protect('mahalla.sign_in_device', 'select, insert, update');

-- One sign-in and everything that was refreshed from it: a family of refresh tokens.
create table mahalla.session (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  signed_in_by text not null check (signed_in_by in ('code', 'link', 'passkey')),
  -- none: not needed at sign-in. pending: the session may do nothing but show or set one up. passed: shown.
  second_factor text not null check (second_factor in ('none', 'pending', 'passed')),
  -- When the person last showed who they are.
  proved_at timestamptz not null,
  device_id uuid,
  created_at timestamptz not null,
  last_used_at timestamptz not null,
  idle_until timestamptz not null,
  expires_at timestamptz not null,
  -- Stays when it has ended: every reader of a token asks for it.
  ended_at timestamptz,
  ended_because text check (ended_because in ('signed-out', 'revoked', 'reused', 'blocked')),
  primary key (tenant_id, id),
  check ((ended_at is null) = (ended_because is null)),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade,
  foreign key (tenant_id, device_id) references mahalla.sign_in_device (tenant_id, id)
);
create index session_of_principal on mahalla.session (tenant_id, principal_id, id desc);
create index session_expiry on mahalla.session (expires_at);
select mahalla.protect('mahalla.session', 'select, insert, update');

-- Opaque; only their SHA-256, for they are 256 random bits. A used one stays to be recognised when it comes again.
create table mahalla.refresh_token (
  tenant_id uuid not null,
  token_hash text not null,
  session_id uuid not null,
  created_at timestamptz not null,
  used_at timestamptz,
  primary key (tenant_id, token_hash),
  foreign key (tenant_id, session_id) references mahalla.session (tenant_id, id) on delete cascade
);
create index refresh_token_of_session on mahalla.refresh_token (tenant_id, session_id);
select mahalla.protect('mahalla.refresh_token', 'select, insert, update');

-- Whoever is blocked or erased is signed out everywhere, whichever way it is done.
create function mahalla.end_sessions_of_blocked() returns trigger
  language plpgsql set search_path = pg_catalog, mahalla
  as $$
begin
  update mahalla.session set ended_at = clock_timestamp(), ended_because = 'blocked'
  where tenant_id = new.tenant_id and principal_id = new.id and ended_at is null;
  return null;
end
$$;
create trigger end_sessions_of_blocked after update of status on mahalla.principal
  for each row when (new.status <> 'active' and old.status = 'active') execute function mahalla.end_sessions_of_blocked();

-- What a session's second factor stands at while the session is in force; null when it is not. Asked in the statement that reads the
-- principal of a request, so that a session that was ended ends with the next one. PL/pgSQL, because it keeps its plan in the session.
-- Audited: reads one row by everything it is given.
create function mahalla.session_state(tenant uuid, principal uuid, session uuid, at timestamptz) returns text
  language plpgsql stable security definer set search_path = pg_catalog, mahalla
  as $$
begin
  return (
    select s.second_factor from mahalla.session s
    where s.tenant_id = tenant and s.id = session and s.principal_id = principal
      and s.ended_at is null and s.expires_at > at and s.idle_until > at
  );
end
$$;
revoke execute on function mahalla.session_state(uuid, uuid, uuid, timestamptz) from public;
grant execute on function mahalla.session_state(uuid, uuid, uuid, timestamptz) to mahalla_app;

-- RFC 6238. The secret is sealed with a key of the deployment.
create table mahalla.totp (
  tenant_id uuid not null,
  principal_id uuid not null,
  secret text not null,
  created_at timestamptz not null,
  -- Null until the first right code: it demands nothing of anybody before.
  confirmed_at timestamptz,
  -- The last time step of which a code was taken; none of it or before it is taken again.
  last_step bigint not null default 0,
  primary key (tenant_id, principal_id),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
select mahalla.protect('mahalla.totp', 'select, insert, update, delete');

-- A set of ten has one salt, so that a try costs one slow hash.
create table mahalla.recovery_code (
  tenant_id uuid not null,
  principal_id uuid not null,
  place smallint not null check (place between 1 and 10),
  salt text not null,
  code_hash text not null,
  created_at timestamptz not null,
  used_at timestamptz,
  primary key (tenant_id, principal_id, place),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
select mahalla.protect('mahalla.recovery_code', 'select, insert, update, delete');

create table mahalla.passkey (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  -- base64url, as the authenticator named it.
  credential_id text not null,
  -- COSE, base64url.
  public_key text not null,
  -- Only grows, or stays zero; a smaller one is a copied authenticator.
  counter bigint not null,
  transports text[] not null,
  name text not null,
  created_at timestamptz not null,
  last_used_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, credential_id),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
create index passkey_of_principal on mahalla.passkey (tenant_id, principal_id, id);
select mahalla.protect('mahalla.passkey', 'select, insert, update, delete');

-- What an authenticator is asked to sign; good once.
create table mahalla.passkey_challenge (
  tenant_id uuid not null,
  id uuid not null,
  -- Null for signing in, when nobody knows yet who it is.
  principal_id uuid,
  challenge text not null,
  expires_at timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
select mahalla.protect('mahalla.passkey_challenge', 'select, insert, delete');

-- Keys with which servers call: shown once, kept as SHA-256, for they are 256 random bits.
create table mahalla.api_key (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  name text not null,
  -- The first characters, by which people tell keys apart.
  prefix text not null,
  key_hash text not null,
  -- Permissions beyond which it does nothing, whatever its principal may.
  scopes text[] not null check (cardinality(scopes) > 0),
  created_by uuid,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  last_used_at timestamptz,
  revoked_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, key_hash),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
create index api_key_of_principal on mahalla.api_key (tenant_id, principal_id, id);
select mahalla.protect('mahalla.api_key', 'select, insert, update');

-- Whose key it is and what it may at most; no row when it is not in force. Writes down its use, once a minute at most.
-- Audited: touches the one row of the given tenant with the given hash.
create function mahalla.use_api_key(tenant uuid, hash text, at timestamptz)
  returns table (key_id uuid, holder uuid, scopes text[])
  language plpgsql volatile security definer set search_path = pg_catalog, mahalla
  as $$
begin
  update mahalla.api_key k set last_used_at = at
  where k.tenant_id = tenant and k.key_hash = hash and k.revoked_at is null and k.expires_at > at
    and (k.last_used_at is null or k.last_used_at < at - interval '1 minute');
  return query
    select k.id, k.principal_id, k.scopes from mahalla.api_key k
    where k.tenant_id = tenant and k.key_hash = hash and k.revoked_at is null and k.expires_at > at;
end
$$;
revoke execute on function mahalla.use_api_key(uuid, text, timestamptz) from public;
grant execute on function mahalla.use_api_key(uuid, text, timestamptz) to mahalla_app;
