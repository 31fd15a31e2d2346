-- One-time codes by phone, and one-time links for staff.

-- The code that a phone waits for; a new one replaces it. The phone is kept as a keyed hash, the code too.
create table mahalla.sign_in_code (
  tenant_id uuid not null,
  phone_hash text not null,
  code_hash text not null,
  tries integer not null default 0,
  -- Codes sent since the last success; makes the pause between them grow.
  sends integer not null,
  sent_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (tenant_id, phone_hash)
);
select mahalla.protect('mahalla.sign_in_code', 'select, insert, update, delete');

create table mahalla.sign_in_link (
  tenant_id uuid not null,
  token_hash text not null,
  principal_id uuid not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (tenant_id, token_hash),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
select mahalla.protect('mahalla.sign_in_link', 'select, insert, delete');
