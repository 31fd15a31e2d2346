-- Signing in through outside OpenID providers: which ones a city trusts, whose identity there is whose account here, and sign-ins under way.

alter table mahalla.session drop constraint session_signed_in_by_check;
alter table mahalla.session add constraint session_signed_in_by_check check (signed_in_by in ('code', 'link', 'passkey', 'openid'));

create table mahalla.openid_provider (
  tenant_id uuid not null,
  -- In addresses, as keycloak.
  id text not null,
  -- By language.
  title jsonb not null,
  issuer text not null,
  client_id text not null,
  -- Sealed; null where the provider asks for none and PKCE is all.
  client_secret text,
  scopes text[] not null,
  -- Whom it lets in: citizens, staff.
  admits text[] not null check (admits <@ array['citizens', 'staff'] and cardinality(admits) > 0),
  -- What its claims must say: {"emailDomains": [...], "claims": {name: [values]}}.
  requires jsonb not null,
  -- Values of acr and amr that are a second factor; null: it does none that counts here.
  second_factor jsonb,
  -- Addresses of apps to which people are sent back, letter by letter.
  redirect_uris text[] not null,
  active boolean not null,
  primary key (tenant_id, id),
  -- Identities are the issuer's, so one issuer is one provider.
  unique (tenant_id, issuer)
);
select mahalla.protect('mahalla.openid_provider', 'select, insert, update, delete');

-- An identity of a provider that signs in to an account here. Never an address of e-mail: those change hands.
create table mahalla.openid_link (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  provider_id text not null,
  -- Blind index of iss and sub.
  subject_index text not null,
  -- sub, sealed.
  subject_sealed text not null,
  -- The administrator who said that this identity is this member of staff; null for what people linked themselves.
  vouched_by uuid,
  created_at timestamptz not null,
  last_used_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, subject_index),
  unique (tenant_id, principal_id, provider_id),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade,
  foreign key (tenant_id, provider_id) references mahalla.openid_provider (tenant_id, id)
);
create index openid_link_of_provider on mahalla.openid_link (tenant_id, provider_id);
select mahalla.protect('mahalla.openid_link', 'select, insert, update, delete');

-- Whom an administrator expects: the first identity that is it becomes the account's.
create table mahalla.openid_invitation (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  provider_id text not null,
  -- email: one that the provider has verified.
  claim text not null check (claim in ('sub', 'email')),
  value_index text not null,
  value_sealed text not null,
  created_by uuid not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, principal_id, provider_id),
  unique (tenant_id, provider_id, value_index),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade,
  foreign key (tenant_id, provider_id) references mahalla.openid_provider (tenant_id, id) on delete cascade
);
create index openid_invitation_expiry on mahalla.openid_invitation (expires_at);
select mahalla.protect('mahalla.openid_invitation', 'select, insert, update, delete');

-- A sign-in under way. Nonce and PKCE verifier are derived from the state, of which only a hash is here.
create table mahalla.openid_attempt (
  tenant_id uuid not null,
  state_hash text not null,
  provider_id text not null,
  -- Of the cookie: whoever comes back must be the browser that left.
  browser_hash text not null,
  redirect_uri text not null,
  -- What the app wants to hear again.
  app_state text,
  -- SHA-256 of the app's verifier.
  challenge text not null,
  -- Whether the provider must look at the person anew.
  fresh boolean not null,
  expires_at timestamptz not null,
  -- Set when the browser has come back: what the app exchanges for a session, and the provider's answer, sealed.
  ticket_hash text,
  answer text,
  primary key (tenant_id, state_hash),
  unique (tenant_id, ticket_hash),
  check ((ticket_hash is null) = (answer is null)),
  foreign key (tenant_id, provider_id) references mahalla.openid_provider (tenant_id, id) on delete cascade
);
create index openid_attempt_expiry on mahalla.openid_attempt (expires_at);
select mahalla.protect('mahalla.openid_attempt', 'select, insert, update, delete');
