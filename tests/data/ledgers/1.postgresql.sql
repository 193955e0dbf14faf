SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public.auth_clients (
    id text NOT NULL,
    name text NOT NULL,
    secret text,
    redirect_uris text NOT NULL,
    disabled bigint NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.auth_codes (
    hash text NOT NULL,
    family text NOT NULL,
    identity text NOT NULL,
    client text NOT NULL,
    redirect_uri text NOT NULL,
    challenge text NOT NULL,
    scope text NOT NULL,
    nonce text NOT NULL,
    session text NOT NULL,
    offline bigint NOT NULL,
    expires bigint NOT NULL,
    used bigint NOT NULL
);
CREATE TABLE public.auth_flows (
    hash text NOT NULL,
    source text NOT NULL,
    browser text NOT NULL,
    nonce text NOT NULL,
    verifier text NOT NULL,
    redirect_uri text NOT NULL,
    next text NOT NULL,
    expires bigint NOT NULL
);
CREATE TABLE public.auth_identities (
    id text NOT NULL,
    set_id text NOT NULL,
    kind text NOT NULL,
    username text NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    organization text NOT NULL,
    source text NOT NULL,
    subject text NOT NULL,
    provider_name text NOT NULL,
    password text,
    is_admin bigint NOT NULL,
    disabled bigint NOT NULL,
    created bigint NOT NULL,
    last_auth bigint NOT NULL
);
CREATE TABLE public.auth_policies (
    id text NOT NULL,
    project text NOT NULL,
    owner text NOT NULL,
    document text NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.auth_projects (
    id text NOT NULL,
    owner text NOT NULL,
    document text NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.auth_sessions (
    hash text NOT NULL,
    identity text NOT NULL,
    session text NOT NULL,
    created bigint NOT NULL,
    expires bigint NOT NULL
);
CREATE TABLE public.auth_tokens (
    hash text NOT NULL,
    kind text NOT NULL,
    family text NOT NULL,
    identity text NOT NULL,
    client text NOT NULL,
    server text NOT NULL,
    scope text NOT NULL,
    session text NOT NULL,
    issued bigint NOT NULL,
    expires bigint NOT NULL,
    used bigint NOT NULL
);
CREATE TABLE public.endpoints (
    id text NOT NULL,
    owner text NOT NULL,
    name text NOT NULL,
    display_name text,
    multi_user bigint NOT NULL,
    public bigint NOT NULL,
    high_assurance bigint NOT NULL,
    policy text,
    subscription text,
    admins text,
    allowed text,
    metadata text NOT NULL,
    is_template bigint NOT NULL,
    address text,
    locked_until_s bigint DEFAULT 0 NOT NULL,
    created_us bigint NOT NULL,
    registered_us bigint NOT NULL,
    deleted bigint DEFAULT 0 NOT NULL
);
CREATE TABLE public.functions (
    id text NOT NULL,
    owner text NOT NULL,
    name text NOT NULL,
    code text NOT NULL,
    serialized bigint NOT NULL,
    description text,
    meta text,
    public bigint NOT NULL,
    grp text,
    ha_endpoint text,
    created_us bigint NOT NULL,
    deleted bigint DEFAULT 0 NOT NULL
);
CREATE TABLE public.migrations (
    name text NOT NULL
);
CREATE TABLE public.payloads (
    task text NOT NULL,
    args bytea,
    file text
);
CREATE TABLE public.presence (
    id text NOT NULL,
    seen_us bigint NOT NULL,
    period double precision NOT NULL,
    active bigint NOT NULL,
    details text
);
CREATE TABLE public.principals (
    name text NOT NULL,
    generation bigint NOT NULL,
    oldest bigint NOT NULL,
    since_s bigint NOT NULL
);
CREATE TABLE public.results (
    task text NOT NULL,
    body bytea,
    file text
);
CREATE TABLE public.task_groups (
    id text NOT NULL,
    owner text NOT NULL,
    stream bigint NOT NULL,
    created_us bigint NOT NULL
);
CREATE TABLE public.tasks (
    id text NOT NULL,
    grp text NOT NULL,
    owner text NOT NULL,
    endpoint text NOT NULL,
    uep text NOT NULL,
    function text NOT NULL,
    state bigint NOT NULL,
    stream bigint NOT NULL,
    tries bigint DEFAULT 0 NOT NULL,
    created_us bigint NOT NULL,
    sent_us bigint,
    done_us bigint,
    opts text
);
CREATE TABLE public.ueps (
    id text NOT NULL,
    endpoint text NOT NULL,
    owner text NOT NULL,
    start text NOT NULL,
    created_us bigint NOT NULL,
    used_us bigint NOT NULL
);
INSERT INTO public.endpoints VALUES ('aaaaaaaa-0000-4000-8000-000000000001', 'c2ef90b9-02bc-5d53-93cd-92652b6e1b41', 'e', NULL, 1, 0, 0, NULL, NULL, NULL, NULL, '{"endpoint_version":"4.19.0","hostname":"login1","local_user":"root","endpoint_config":"display_name: x\n","user_config_template":"engine: {{ x }}","user_config_schema":{"type":"object"}}', 1, NULL, 0, 1795572204432528, 1795572204432528, 0);
INSERT INTO public.functions VALUES ('56c4c95e-c276-4533-9652-66b29d93c220', 'c2ef90b9-02bc-5d53-93cd-92652b6e1b41', 'f', '19
st
f:def f(): pass
', 1, NULL, '{}', 0, NULL, NULL, 1795572204468154, 0);
INSERT INTO public.migrations VALUES ('auth-1');
INSERT INTO public.migrations VALUES ('api-1');
INSERT INTO public.migrations VALUES ('broker-1');
INSERT INTO public.payloads VALUES ('01a21071-85eb-7001-b86c-f4eee73d4bda', '\x31320a30300a674151704c673d3d0a31320a30300a674152396c43343d0a', NULL);
INSERT INTO public.payloads VALUES ('01a21071-85eb-7002-bf4f-7cde87a348df', '\x31320a30300a674151704c673d3d0a31320a30300a674152396c43343d0a', NULL);
INSERT INTO public.presence VALUES ('aaaaaaaa-0000-4000-8000-000000000001', 1795572204825955, 0, 1, '{"heartbeat_period":0}');
INSERT INTO public.presence VALUES ('da51b093-594b-59ad-ba57-322e4f3bb6eb', 1795572204567251, 30, 0, '{"heartbeat_period":30,"active":false,"total_workers":1,"outstanding_tasks":0,"pending_tasks":0}');
INSERT INTO public.principals VALUES ('ep.aaaaaaaa-0000-4000-8000-000000000001', 1, 0, 1795572204);
INSERT INTO public.principals VALUES ('ep.da51b093-594b-59ad-ba57-322e4f3bb6eb', 1, 0, 1795572204);
INSERT INTO public.results VALUES ('01a21071-83ce-7001-9996-0d40b0dff5e9', '\x017b226d6573736167655f74797065223a2022726573756c74222c202264617461223a207b227461736b5f6964223a202230316132313037312d383363652d373030312d393939362d306434306230646666356539222c202264617461223a202230305c6e6741524f4c673d3d5c6e222c20226572726f725f64657461696c73223a206e756c6c2c202264657461696c73223a207b226f73223a202278222c2022707974686f6e5f76657273696f6e223a2022332e31312e37222c202264696c6c5f76657273696f6e223a2022302e332e39222c2022676c6f6275735f636f6d707574655f73646b5f76657273696f6e223a2022342e31392e30222c2022656e64706f696e745f6964223a202264613531623039332d353934622d353961642d626135372d333232653466336262366562227d2c20227461736b5f7374617475736573223a205b7b2274696d657374616d70223a20313739353537323230343530393132373737362c20227374617465223a2022657865637574696f6e2d7374617274222c20226163746f72223a2022776f726b6572227d5d7d7d', NULL);
INSERT INTO public.results VALUES ('01a21071-83ce-7002-8ded-455d79a8f222', '\x017b226d6573736167655f74797065223a2022726573756c74222c202264617461223a207b227461736b5f6964223a202230316132313037312d383363652d373030322d386465642d343535643739613866323232222c202264617461223a202230305c6e6741524f4c673d3d5c6e222c20226572726f725f64657461696c73223a206e756c6c2c202264657461696c73223a207b226f73223a202278222c2022707974686f6e5f76657273696f6e223a2022332e31312e37222c202264696c6c5f76657273696f6e223a2022302e332e39222c2022676c6f6275735f636f6d707574655f73646b5f76657273696f6e223a2022342e31392e30222c2022656e64706f696e745f6964223a202264613531623039332d353934622d353961642d626135372d333232653466336262366562227d2c20227461736b5f7374617475736573223a205b7b2274696d657374616d70223a20313739353537323230343531373236383535372c20227374617465223a2022657865637574696f6e2d7374617274222c20226163746f72223a2022776f726b6572227d5d7d7d', NULL);
INSERT INTO public.task_groups VALUES ('01a21071-83ce-7000-b40a-1a14a9bdb574', 'c2ef90b9-02bc-5d53-93cd-92652b6e1b41', 0, 1795572204494595);
INSERT INTO public.task_groups VALUES ('01a21071-85eb-7000-95b7-69524ce490ff', 'c2ef90b9-02bc-5d53-93cd-92652b6e1b41', 0, 1795572205035045);
INSERT INTO public.tasks VALUES ('01a21071-83ce-7001-9996-0d40b0dff5e9', '01a21071-83ce-7000-b40a-1a14a9bdb574', 'c2ef90b9-02bc-5d53-93cd-92652b6e1b41', 'aaaaaaaa-0000-4000-8000-000000000001', 'da51b093-594b-59ad-ba57-322e4f3bb6eb', '56c4c95e-c276-4533-9652-66b29d93c220', 2, 0, 0, 1795572204494595, NULL, 1795572204515227, NULL);
INSERT INTO public.tasks VALUES ('01a21071-83ce-7002-8ded-455d79a8f222', '01a21071-83ce-7000-b40a-1a14a9bdb574', 'c2ef90b9-02bc-5d53-93cd-92652b6e1b41', 'aaaaaaaa-0000-4000-8000-000000000001', 'da51b093-594b-59ad-ba57-322e4f3bb6eb', '56c4c95e-c276-4533-9652-66b29d93c220', 2, 0, 0, 1795572204494595, NULL, 1795572204518484, NULL);
INSERT INTO public.tasks VALUES ('01a21071-85eb-7001-b86c-f4eee73d4bda', '01a21071-85eb-7000-95b7-69524ce490ff', 'c2ef90b9-02bc-5d53-93cd-92652b6e1b41', 'aaaaaaaa-0000-4000-8000-000000000001', 'da51b093-594b-59ad-ba57-322e4f3bb6eb', '56c4c95e-c276-4533-9652-66b29d93c220', 0, 0, 0, 1795572205035045, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('01a21071-85eb-7002-bf4f-7cde87a348df', '01a21071-85eb-7000-95b7-69524ce490ff', 'c2ef90b9-02bc-5d53-93cd-92652b6e1b41', 'aaaaaaaa-0000-4000-8000-000000000001', 'da51b093-594b-59ad-ba57-322e4f3bb6eb', '56c4c95e-c276-4533-9652-66b29d93c220', 0, 0, 0, 1795572205035045, NULL, NULL, NULL);
INSERT INTO public.ueps VALUES ('da51b093-594b-59ad-ba57-322e4f3bb6eb', 'aaaaaaaa-0000-4000-8000-000000000001', 'c2ef90b9-02bc-5d53-93cd-92652b6e1b41', '{"username":"alice@test.example","config":null,"runtime":null,"identity_set":[{"id":"c2ef90b9-02bc-5d53-93cd-92652b6e1b41","sub":"c2ef90b9-02bc-5d53-93cd-92652b6e1b41","status":"used","username":"alice@test.example","name":"alice","email":"alice@test.example"}]}', 1795572204495767, 1795572204495767);
ALTER TABLE ONLY public.auth_clients
    ADD CONSTRAINT auth_clients_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.auth_codes
    ADD CONSTRAINT auth_codes_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY public.auth_flows
    ADD CONSTRAINT auth_flows_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY public.auth_identities
    ADD CONSTRAINT auth_identities_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.auth_identities
    ADD CONSTRAINT auth_identities_source_subject_key UNIQUE (source, subject);
ALTER TABLE ONLY public.auth_identities
    ADD CONSTRAINT auth_identities_username_key UNIQUE (username);
ALTER TABLE ONLY public.auth_policies
    ADD CONSTRAINT auth_policies_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.auth_projects
    ADD CONSTRAINT auth_projects_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.auth_sessions
    ADD CONSTRAINT auth_sessions_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY public.auth_tokens
    ADD CONSTRAINT auth_tokens_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY public.endpoints
    ADD CONSTRAINT endpoints_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.functions
    ADD CONSTRAINT functions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.payloads
    ADD CONSTRAINT payloads_pkey PRIMARY KEY (task);
ALTER TABLE ONLY public.presence
    ADD CONSTRAINT presence_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.principals
    ADD CONSTRAINT principals_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.results
    ADD CONSTRAINT results_pkey PRIMARY KEY (task);
ALTER TABLE ONLY public.task_groups
    ADD CONSTRAINT task_groups_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ueps
    ADD CONSTRAINT ueps_pkey PRIMARY KEY (id);
CREATE INDEX auth_codes_expires ON public.auth_codes USING btree (expires);
CREATE INDEX auth_identities_set ON public.auth_identities USING btree (set_id);
CREATE INDEX auth_projects_owner ON public.auth_projects USING btree (owner);
CREATE INDEX auth_sessions_identity ON public.auth_sessions USING btree (identity);
CREATE INDEX auth_tokens_expires ON public.auth_tokens USING btree (expires);
CREATE INDEX auth_tokens_family ON public.auth_tokens USING btree (family);
CREATE INDEX auth_tokens_identity ON public.auth_tokens USING btree (identity);
CREATE INDEX endpoints_owner ON public.endpoints USING btree (owner);
CREATE INDEX functions_owner ON public.functions USING btree (owner);
CREATE INDEX task_groups_owner ON public.task_groups USING btree (owner, created_us);
CREATE INDEX tasks_group ON public.tasks USING btree (grp, id);
CREATE INDEX tasks_open ON public.tasks USING btree (uep, state, id) WHERE (state < 2);
CREATE INDEX ueps_endpoint ON public.ueps USING btree (endpoint);
CREATE INDEX ueps_owner ON public.ueps USING btree (owner);
