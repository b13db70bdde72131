-- A registry's database with schema 6, as commit 32458591 wrote it; see README.md.
CREATE FUNCTION public.understudy_written_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' are written once',
    ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TABLE public.acting (
    model character varying(63) NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    revision bigint NOT NULL,
    because character varying(32) COLLATE pg_catalog."C",
    since_ns bigint NOT NULL
);

CREATE TABLE public.approval_policies (
    model character varying(63) NOT NULL COLLATE pg_catalog."C",
    place bigint NOT NULL,
    approvers bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at_ns bigint NOT NULL
);

CREATE TABLE public.audit (
    sequence bigint NOT NULL,
    at_ns bigint NOT NULL,
    actor text NOT NULL,
    proof character varying(16) NOT NULL COLLATE pg_catalog."C",
    peer text NOT NULL,
    on_behalf_of text NOT NULL,
    action character varying(32) NOT NULL COLLATE pg_catalog."C",
    model character varying(63) NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL,
    from_revision bigint NOT NULL,
    to_revision bigint NOT NULL,
    details_json text NOT NULL,
    previous_digest character varying(64) NOT NULL COLLATE pg_catalog."C",
    format character varying(32) NOT NULL COLLATE pg_catalog."C",
    digest character varying(64) NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE public.epochs (
    number bigint NOT NULL,
    id character varying(36) NOT NULL COLLATE pg_catalog."C",
    first_change bigint NOT NULL,
    file text NOT NULL
);

CREATE TABLE public.feature_views (
    name character varying(63) NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    digest character varying(64) NOT NULL COLLATE pg_catalog."C",
    canonical_json text NOT NULL
);

CREATE TABLE public.heard_reports (
    kind character varying(16) NOT NULL,
    name character varying(255) NOT NULL,
    report_json text NOT NULL,
    heard_ns bigint NOT NULL,
    written bigint NOT NULL
);

CREATE SEQUENCE public.heard_reports_order
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.host_reports (
    host_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    report_json text NOT NULL
);

CREATE TABLE public.lineage (
    place bigint NOT NULL,
    id character varying(36) NOT NULL COLLATE pg_catalog."C",
    successor_of text NOT NULL,
    revision bigint NOT NULL,
    ended_json text NOT NULL
);

CREATE TABLE public.loads (
    artifact_digest character varying(64) NOT NULL COLLATE pg_catalog."C",
    onnxruntime character varying(64) NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE public.marks (
    kind character varying(32) NOT NULL COLLATE pg_catalog."C",
    model character varying(63) NOT NULL COLLATE pg_catalog."C",
    number bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at_ns bigint NOT NULL
);

CREATE TABLE public.named_versions (
    model character varying(63) NOT NULL COLLATE pg_catalog."C",
    number bigint NOT NULL,
    champion_in bigint NOT NULL
);

CREATE TABLE public.refusals (
    sequence bigint NOT NULL,
    minute_ns bigint NOT NULL,
    actor text NOT NULL,
    peer text NOT NULL,
    call character varying(64) NOT NULL COLLATE pg_catalog."C",
    reason character varying(32) NOT NULL COLLATE pg_catalog."C",
    attempts bigint NOT NULL,
    previous_digest character varying(64) NOT NULL COLLATE pg_catalog."C",
    digest character varying(64) NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE public.registry (
    name character varying(32) NOT NULL COLLATE pg_catalog."C",
    value bigint NOT NULL
);

CREATE TABLE public.revisions (
    model character varying(63) NOT NULL COLLATE pg_catalog."C",
    revision bigint NOT NULL,
    champion bigint NOT NULL,
    digest character varying(64) NOT NULL COLLATE pg_catalog."C",
    content_json text NOT NULL,
    contract_json text NOT NULL,
    actor text NOT NULL,
    action character varying(32) NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL,
    at_ns bigint NOT NULL
);

CREATE TABLE public.shared_state (
    place bigint NOT NULL,
    changes bigint NOT NULL
);

CREATE TABLE public.tags (
    model character varying(63) NOT NULL COLLATE pg_catalog."C",
    name character varying(63) NOT NULL COLLATE pg_catalog."C",
    number bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at_ns bigint NOT NULL
);

CREATE TABLE public.versions (
    model character varying(63) NOT NULL COLLATE pg_catalog."C",
    number bigint NOT NULL,
    artifact_digest character varying(64) NOT NULL COLLATE pg_catalog."C",
    files_json text NOT NULL,
    provenance_digest character varying(64) NOT NULL COLLATE pg_catalog."C",
    provenance_json text NOT NULL,
    inputs_json text NOT NULL,
    outputs_json text NOT NULL,
    feature_set_json text NOT NULL,
    view_names_json text NOT NULL,
    score_output text NOT NULL,
    score_column bigint NOT NULL,
    golden_tolerance double precision NOT NULL,
    column_inputs_json text NOT NULL,
    joins_rows boolean NOT NULL,
    registered_by text NOT NULL,
    registered_at_ns bigint NOT NULL
);

CREATE TABLE public.votes (
    model character varying(63) NOT NULL COLLATE pg_catalog."C",
    number bigint NOT NULL,
    place bigint NOT NULL,
    kind character varying(16) NOT NULL COLLATE pg_catalog."C",
    content_digest character varying(64) NOT NULL COLLATE pg_catalog."C",
    actor text NOT NULL,
    reason text NOT NULL,
    at_ns bigint NOT NULL,
    expires_ns bigint NOT NULL
);

INSERT INTO public.approval_policies VALUES ('fraud', 1, 1, 'bob', 'r', 1796069327217974016);

INSERT INTO public.audit VALUES (1, 1796069325744070144, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'register', 'fraud', 'a test', 0, 0, '{"artifact_digest":"bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df","content_digest":"c3fbd2d0c6cb50f815e410a27791ee26b585784d825fbae46a2451c62ad03023","digest":"eea41feea3eb0da06ec3772a70d4ac6b074d05dbea5cd7b05148a1af710913a8","provenance_digest":"a9a730baaf2ca8443618914644819e590bd2bd0a4685caa119152a3897be21e0","version":"fraud@1"}', '3e56d0184cf266f6d0dbd9262c5820f2d759d12d9b8678561935e6622e91de8e', 'understudy/audit_row/2', 'f7fad21c5d6befe15ca8b58770d3095103b60c2c86deb83a5a4648674a922337');
INSERT INTO public.audit VALUES (2, 1796069326266827008, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'register', 'fraud', 'a test', 0, 0, '{"artifact_digest":"bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df","content_digest":"72b03a9629f3cdcd5ecf0cf35c38258143b0c830f6fb432544caa7bf332b7ae5","digest":"82dd4ee24c01cf10f9743d89e421b1d896f000bca1e999c14e7845cfd13f2c1b","provenance_digest":"d9f103ef52434a95fcb14380e6b6a8d2f8799cf16822f7b2632aebfec0b994d9","version":"fraud@2"}', 'f7fad21c5d6befe15ca8b58770d3095103b60c2c86deb83a5a4648674a922337', 'understudy/audit_row/2', '551f3b3e79129238a9f8d5fd1faf3f5cbafc8b03683249bb8cdf2dee9459e5a0');
INSERT INTO public.audit VALUES (3, 1796069326778635008, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'register', 'fraud', 'a test', 0, 0, '{"artifact_digest":"bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df","content_digest":"11430bcde2c6745900fcd0e8b0d931292e053c0a33fca17f08e10334c36eeeca","digest":"ec71ba94913db2a11eee23147bfe07bac020c240c3ed3e32b66b29188132e388","provenance_digest":"7beaac18a68e6923eafa0d27a2b20f2a8fb51413c7c8b2c41fdacb4c93220f41","version":"fraud@3"}', '551f3b3e79129238a9f8d5fd1faf3f5cbafc8b03683249bb8cdf2dee9459e5a0', 'understudy/audit_row/2', '6604f171a35023431b676f57dadb9410d4f645b89598d045d34d4477b9272466');
INSERT INTO public.audit VALUES (4, 1796069326838692864, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'deploy', 'fraud', 'Grund: ä — 試験', 0, 1, '{"digest":"6c92f7d5d7ec28f31ef1345b3c29d20d7f31b46d2377703faf0e209db5e2c0c7","from_digest":null,"to_contract":"0c5f06084ec3cbf0d92faef667f48f55e5e96a135eae48d8d8fa6af46e897be8","to_digest":"c9fbe4e069b1021efaba69f5a2d3654a98c44957791566ac3efbfcf531e920ce"}', '6604f171a35023431b676f57dadb9410d4f645b89598d045d34d4477b9272466', 'understudy/audit_row/2', 'a94d0dfc5827f560c02a1a4586b9e32bda0b309b9a43aa2174f5c3ae74eadc70');
INSERT INTO public.audit VALUES (5, 1796069326878004992, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'canary', 'fraud', 'Grund: ä — 試験', 1, 2, '{"digest":"a89b19694683691fd4d61cd1d7e5c133430da5bc3e5cb2e667b29ebc44b4440c","from_digest":"c9fbe4e069b1021efaba69f5a2d3654a98c44957791566ac3efbfcf531e920ce","to_contract":"0c5f06084ec3cbf0d92faef667f48f55e5e96a135eae48d8d8fa6af46e897be8","to_digest":"d1463aa909bf1e720f3b1fc20f5b0b42b838a5cf6ba3c88dc1165b50a66ef248"}', 'a94d0dfc5827f560c02a1a4586b9e32bda0b309b9a43aa2174f5c3ae74eadc70', 'understudy/audit_row/2', '29c5e209fa5cd83690ced811d14b1e1dffda0c5e6e0ac8b4f7c3e39919554fce');
INSERT INTO public.audit VALUES (6, 1796069326907763968, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'threshold', 'fraud', 'Grund: ä — 試験', 2, 3, '{"digest":"2235b19a9af7ee3f38c7d6f8fbb0f33512f632512df64e3c93245e33ac9dbb83","from_digest":"d1463aa909bf1e720f3b1fc20f5b0b42b838a5cf6ba3c88dc1165b50a66ef248","to_contract":"0c5f06084ec3cbf0d92faef667f48f55e5e96a135eae48d8d8fa6af46e897be8","to_digest":"4e2145ed18e6e5c7eeb0d84f73ca949ecd60adf410528109853eca0be28a097f"}', '29c5e209fa5cd83690ced811d14b1e1dffda0c5e6e0ac8b4f7c3e39919554fce', 'understudy/audit_row/2', '74b783abc1b00927c5745eaf20b6ed46ce4f714f9992d3bccd53b0ef74204f07');
INSERT INTO public.audit VALUES (7, 1796069326919745024, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'drill', '', 'a test', 0, 0, '{"duration_s":30,"level":"L2","router":"host:/r"}', '74b783abc1b00927c5745eaf20b6ed46ce4f714f9992d3bccd53b0ef74204f07', 'understudy/audit_row/2', '46c531a7e622544d62094f00b44bc256905b283e60759963260b2d890868476b');
INSERT INTO public.audit VALUES (8, 1796069326926175232, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'block', 'fraud', 'a test', 0, 0, '{"digest":"5a0a26b1d44469094dae5881483f104b2ab1e80cb5d62d320d0d5f4398ee3b00","version":"fraud@1"}', '46c531a7e622544d62094f00b44bc256905b283e60759963260b2d890868476b', 'understudy/audit_row/2', '9612e379e0563341049adbf11bc4f8eb0a607d1a8f01a5c486d915d523549d2e');
INSERT INTO public.audit VALUES (9, 1796069326941057024, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'unblock', 'fraud', 'a test', 0, 0, '{"digest":"4458b00a3f3a9d56573d0b4023b5964da04dd5c4cbef63473a2733ce1f864666","version":"fraud@1"}', '9612e379e0563341049adbf11bc4f8eb0a607d1a8f01a5c486d915d523549d2e', 'understudy/audit_row/2', '1458d65567defaabdc3c225db413aebdd4ae73a4815d3ed603a9bce4d4fcf0f2');
INSERT INTO public.audit VALUES (10, 1796069326957363968, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'tag', 'fraud', 'a test', 0, 0, '{"digest":"5507d602e4be49133a1152ec9375453fcc27b2c7235092d6fd3e4468eb14b313","tag":"baseline","version":"fraud@1"}', '1458d65567defaabdc3c225db413aebdd4ae73a4815d3ed603a9bce4d4fcf0f2', 'understudy/audit_row/2', '3eeffaee1fc466baae9a581391415cf53feeb5a385824326e6c9e0989f26e71b');
INSERT INTO public.audit VALUES (11, 1796069326971019008, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'block', 'fraud', 'a test', 0, 0, '{"digest":"40a1599c7873a65c82b1cecd69eaeff3e05d66e9967254c2941932e1cf1a4454","version":"fraud@3"}', '3eeffaee1fc466baae9a581391415cf53feeb5a385824326e6c9e0989f26e71b', 'understudy/audit_row/2', '57fa4f91dcc7f6f95874ab27ccf81d8dbdd1bf9431da5fc3207ed0287d213d70');
INSERT INTO public.audit VALUES (12, 1796069327157768960, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'restore', '', 'a test', 0, 0, '{"digest":"3fb75afa5ae0729cbe5f0ed6599f2cf85463bb545dccb35ba247bb6845db1e1b","ended":[],"lineage":"b83eba7e-ef38-487b-81b2-d77e0c430b33","place":2,"revision":2000,"successor_of":"00000000-0000-0000-0000-000000000001"}', '57fa4f91dcc7f6f95874ab27ccf81d8dbdd1bf9431da5fc3207ed0287d213d70', 'understudy/audit_row/2', 'e567778b77c924ed885bc6bfdf5d3b155f580d3295cbf1e93996de9047f69bb7');
INSERT INTO public.audit VALUES (13, 1796069327157768960, 'ada@lab', 'unproven', 'ipv4:127.0.0.1', '', 'restore', 'fraud', 'a test', 3, 2000, '{"digest":"ee53d56b353f004ba79cf6ef7129c1c48880163aa83258c32b74d2a248697312","from_digest":"4e2145ed18e6e5c7eeb0d84f73ca949ecd60adf410528109853eca0be28a097f","to_contract":"0c5f06084ec3cbf0d92faef667f48f55e5e96a135eae48d8d8fa6af46e897be8","to_digest":"4e2145ed18e6e5c7eeb0d84f73ca949ecd60adf410528109853eca0be28a097f"}', 'e567778b77c924ed885bc6bfdf5d3b155f580d3295cbf1e93996de9047f69bb7', 'understudy/audit_row/2', '47715a191692ddc89f612a515457077cdd19edfa75b7134c82b4f13836e28a56');
INSERT INTO public.audit VALUES (14, 1796069327212965888, 'bob', 'token', '', '', 'approve', 'fraud', 'r', 0, 0, '{"content_digest":"72b03a9629f3cdcd5ecf0cf35c38258143b0c830f6fb432544caa7bf332b7ae5","digest":"79de1df57baaf2600a9a77af35e1f4e8ab8ac533eff684108b97332411bee35c","expires_ns":"1796069387212965888","place":1,"version":"fraud@2"}', '47715a191692ddc89f612a515457077cdd19edfa75b7134c82b4f13836e28a56', 'understudy/audit_row/2', '2f81afe4bb282c10c60df622681a20b52ccf3ebd257f2008250f8599f2727f83');
INSERT INTO public.audit VALUES (15, 1796069327217974016, 'bob', 'token', '', '', 'approval_policy', 'fraud', 'r', 0, 0, '{"approvers":1,"digest":"d05f04a941d8aaf0557dc264feb92ba28146f0b001dc390a953c25c1ddea6697","place":1}', '2f81afe4bb282c10c60df622681a20b52ccf3ebd257f2008250f8599f2727f83', 'understudy/audit_row/2', '00f1832b2c217aa80ceaa7329eccda9d60d4eed59796600e2d9cbc7d500cd389');

INSERT INTO public.epochs VALUES (1, 'db9e4300-c18d-4806-925d-090595c96770', 0, '7714059009613244581:1:16384');

INSERT INTO public.feature_views VALUES ('patient', 1, '03606dc56662e14426309bbdad59d667ccc49895425c259ab1d06a44898db1cd', '{"entity":"patient","features":[{"default":0,"dtype":"float32","max_age_s":null,"name":"f0"},{"default":0,"dtype":"float32","max_age_s":null,"name":"f1"},{"default":0,"dtype":"float32","max_age_s":null,"name":"f2"}],"format":"understudy/feature_view/1","name":"patient","ttl_s":null,"version":1}');

INSERT INTO public.heard_reports VALUES ('scorer_host', 'h-1', '{"host_id":"h-1","processes":[{"ref":{"model":"fraud","number":1},"replica":0,"address":"127.0.0.1:9000","state":"ready","artifact_digest":"bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df","host_id":"h-1","restarts":0,"loaded_digest":null,"last_error":null,"started_at_ns":null,"pid":null}],"belief":null,"placement":{"models":[],"labels":[]}}', 1796069327143476114, 1);

INSERT INTO public.lineage VALUES (1, '53e0a019-01ca-4205-a45a-1ada043b7979', '', 0, '[]');
INSERT INTO public.lineage VALUES (2, 'b83eba7e-ef38-487b-81b2-d77e0c430b33', '00000000-0000-0000-0000-000000000001', 2000, '[]');

INSERT INTO public.loads VALUES ('bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df', '1.31.1');

INSERT INTO public.marks VALUES ('block', 'fraud', 3, 'ada@lab', 'a test', 1796069326971019008);

INSERT INTO public.named_versions VALUES ('fraud', 2, 0);
INSERT INTO public.named_versions VALUES ('fraud', 1, 2000);

INSERT INTO public.refusals VALUES (1, 1796069280000000000, 'ada@lab', 'ipv4:127.0.0.1', 'ChangeDeployment', 'refused', 1, '3e56d0184cf266f6d0dbd9262c5820f2d759d12d9b8678561935e6622e91de8e', 'a729fe3ec29716e5836b352b1f03f435310ad1aacb8809e38426e9288ffa5cf2');
INSERT INTO public.refusals VALUES (2, 60000000000, 'mallory', 'ipv4:10.0.0.9', 'SetBlock', 'permission_refused', 1, 'a729fe3ec29716e5836b352b1f03f435310ad1aacb8809e38426e9288ffa5cf2', 'a41e9ffe13f924488ed3648844ae9651186f7e8f0d5a5d3a8669753a32c14846');

INSERT INTO public.registry VALUES ('schema_version', 6);
INSERT INTO public.registry VALUES ('refusals', 2);

INSERT INTO public.revisions VALUES ('fraud', 1, 1, 'c9fbe4e069b1021efaba69f5a2d3654a98c44957791566ac3efbfcf531e920ce', '{"challengers":[],"champion":1,"decision_threshold":0.5,"fallback":{"constant_score":0.5,"last_score_max_age_s":null,"version":null},"host_labels":[],"model":"fraud","rules":[],"salt":"fraud","shadows":[]}', '{"entities":["patient"],"features":[{"dtype":"float32","name":"f0"},{"dtype":"float32","name":"f1"},{"dtype":"float32","name":"f2"}],"outputs":["label","probabilities"],"required_entities":["patient"],"seen_version":3,"unit_entity":"patient"}', 'ada@lab', 'deploy', 'Grund: ä — 試験', 1796069326838692864);
INSERT INTO public.revisions VALUES ('fraud', 2, 1, 'd1463aa909bf1e720f3b1fc20f5b0b42b838a5cf6ba3c88dc1165b50a66ef248', '{"challengers":[{"version":2,"weight_bp":500}],"champion":1,"decision_threshold":0.5,"fallback":{"constant_score":0.5,"last_score_max_age_s":null,"version":null},"host_labels":[],"model":"fraud","rules":[],"salt":"fraud","shadows":[]}', '{"entities":["patient"],"features":[{"dtype":"float32","name":"f0"},{"dtype":"float32","name":"f1"},{"dtype":"float32","name":"f2"}],"outputs":["label","probabilities"],"required_entities":["patient"],"seen_version":3,"unit_entity":"patient"}', 'ada@lab', 'canary', 'Grund: ä — 試験', 1796069326878004992);
INSERT INTO public.revisions VALUES ('fraud', 3, 1, '4e2145ed18e6e5c7eeb0d84f73ca949ecd60adf410528109853eca0be28a097f', '{"challengers":[{"version":2,"weight_bp":500}],"champion":1,"decision_threshold":0.25,"fallback":{"constant_score":0.5,"last_score_max_age_s":null,"version":null},"host_labels":[],"model":"fraud","rules":[],"salt":"fraud","shadows":[]}', '{"entities":["patient"],"features":[{"dtype":"float32","name":"f0"},{"dtype":"float32","name":"f1"},{"dtype":"float32","name":"f2"}],"outputs":["label","probabilities"],"required_entities":["patient"],"seen_version":3,"unit_entity":"patient"}', 'ada@lab', 'threshold', 'Grund: ä — 試験', 1796069326907763968);
INSERT INTO public.revisions VALUES ('fraud', 2000, 1, '4e2145ed18e6e5c7eeb0d84f73ca949ecd60adf410528109853eca0be28a097f', '{"challengers":[{"version":2,"weight_bp":500}],"champion":1,"decision_threshold":0.25,"fallback":{"constant_score":0.5,"last_score_max_age_s":null,"version":null},"host_labels":[],"model":"fraud","rules":[],"salt":"fraud","shadows":[]}', '{"entities":["patient"],"features":[{"dtype":"float32","name":"f0"},{"dtype":"float32","name":"f1"},{"dtype":"float32","name":"f2"}],"outputs":["label","probabilities"],"required_entities":["patient"],"seen_version":3,"unit_entity":"patient"}', 'ada@lab', 'restore', 'a test', 1796069327157768960);

INSERT INTO public.shared_state VALUES (1, 21);

INSERT INTO public.tags VALUES ('fraud', 'baseline', 1, 'ada@lab', 'a test', 1796069326957363968);

INSERT INTO public.versions VALUES ('fraud', 1, 'bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df', '[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}]', 'a9a730baaf2ca8443618914644819e590bd2bd0a4685caa119152a3897be21e0', '{"artifact":{"files":[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}],"golden":{"rows":8,"tolerance":0.00001},"inputs":[{"datatype":"FP32","name":"X","shape":[-1,3]}],"ir_version":8,"joins_rows":true,"opsets":{"":18,"ai.onnx.ml":1},"outputs":[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}],"producer":"skl2onnx 1.20.0"},"code":{"command_line":["/tmp/a1/.venv/bin/python","/tmp/a1x/make6.py","/tmp/a1x/out"],"entry_point":"tests.registry.samples","source":{"files":32,"kind":"package","name":"understudy-serving","sha256":"e1cb3b1d67550d7e55c4879f55e7243b87287fc6742140097cbf730495c24eef","version":"0.1.0"}},"data":{"evaluation":{"content":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"kept","rows":100,"uri":"memory:kept","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}},"split":{"description":"the last hundred rows are kept","method":"random","seed":7},"training":{"content":"sha256:d53ba501848a39c6091b59d77d74cf2f97b5e7baf0c965e260db36074652d64e","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"train","rows":300,"uri":"memory:train","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}}},"environment":{"converter":{"name":"skl2onnx","version":"1.20.0"},"cpu":"x86_64, 2 cores","gpu":"no GPU","image_digest":null,"lockfile_sha256":"fd093a05d7bdc038841c0e712a3e501167d42625324203cf2b2b541ee37e4acd","onnxruntime":"1.31.1","os":"Linux-6.18.44-fc-v857-x86_64-with-glibc2.36","packages":{"Pygments":"2.21.0","SQLAlchemy":"2.1.9","annotated-doc":"0.0.7","annotated-types":"0.8.0","attrs":"26.1.0","cffi":"2.1.1","cloudpickle":"3.1.2","cryptography":"50.0.2","googleapis-common-protos":"1.76.0","grpcio":"1.85.1","grpcio-health-checking":"1.85.1","grpcio-reflection":"1.85.1","iniconfig":"2.3.1","joblib":"1.6.0","ml_dtypes":"0.6.0","narwhals":"2.28.0","numpy":"2.4.6","onnx":"1.23.2","onnxruntime":"1.31.1","pluggy":"1.7.0","protobuf":"7.36.2","psutil":"7.2.2","psycopg":"3.3.9","psycopg-binary":"3.3.9","pydantic":"2.14.3","pydantic-settings":"2.16.3","pydantic_core":"2.50.4","pytest":"9.2.0","python-dotenv":"1.2.4","rfc8785":"0.1.4","rich":"15.0.0","scikit-learn":"1.9.1","scipy":"1.17.1","setuptools":"65.5.0","shellingham":"1.5.4","skl2onnx":"1.20.0","structlog":"26.1.0","threadpoolctl":"3.8.0","typer":"0.29.2","typing-inspection":"0.4.5","typing_extensions":"4.16.0","uvloop":"0.23.0"},"python":"3.11.7"},"evaluation":{"comparison":{"first_version":true},"metrics":[{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.9933243326783835,"level":0.95,"low":0.9058353311871624,"method":"DeLong"},"n":100,"name":"auc","slice":"all","value":0.949579831932773},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.12529500610154376,"level":0.95,"low":0.06395684952815565,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"brier","slice":"all","value":0.09427273010883506},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.94,"level":0.95,"low":0.82,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"accuracy","slice":"all","value":0.88}],"threshold":0.5},"features":{"columns":[{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f0"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f1"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f2"}],"digest":"6d87c2c8504e5ebbe93ef0d6b95ab64f9c130ca8304de56b39a1f958814f6fb7","transform":{"digest":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","where":"in_model"},"view_digests":{"patient@1":"03606dc56662e14426309bbdad59d667ccc49895425c259ab1d06a44898db1cd"}},"parameters":{"sha256":"1f8a7145de602698814c7c745bba164351079b8dcea3fd7c75283fb24a2153ea","values":{"C":1,"class_weight":null,"dual":false,"estimator":"sklearn.linear_model._logistic.LogisticRegression","fit_intercept":true,"intercept_scaling":1,"l1_ratio":0,"max_iter":100,"n_jobs":null,"penalty":"deprecated","random_state":7,"solver":"lbfgs","tol":0.0001,"verbose":0,"warm_start":false}},"parent":{"conversion":{"max_abs_difference":5.960464477539063e-8,"rows":100,"tolerance":0.00001},"version":"from scratch"},"people":{"approver":"grace@lab","author":"ada@lab","contact":"first@lab","owner":"risk team"},"policy":{"decision_threshold":0.5,"fallback_score":0.5,"intended_use":"tests only","licence":"Apache-2.0","revalidate_by":"2029-05-18"},"run":{"builder":"pytest","ended_at":"2026-11-30T20:08:42.518918+00:00","id":"0fd0df16-58f8-4e8b-8e4c-943c8b5d3c80","started_at":"2026-11-30T20:08:42.222272+00:00"},"schema_version":1,"seeds":{"values":{"random_state":7,"split":7}}}', '[{"datatype":"FP32","name":"X","shape":[-1,3]}]', '[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}]', '["patient@1:f0","patient@1:f1","patient@1:f2"]', '[["patient",1]]', 'probabilities', 1, 1e-05, '[]', true, 'ada@lab', 1796069325744070144);
INSERT INTO public.versions VALUES ('fraud', 2, 'bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df', '[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}]', 'd9f103ef52434a95fcb14380e6b6a8d2f8799cf16822f7b2632aebfec0b994d9', '{"artifact":{"files":[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}],"golden":{"rows":8,"tolerance":0.00001},"inputs":[{"datatype":"FP32","name":"X","shape":[-1,3]}],"ir_version":8,"joins_rows":true,"opsets":{"":18,"ai.onnx.ml":1},"outputs":[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}],"producer":"skl2onnx 1.20.0"},"code":{"command_line":["/tmp/a1/.venv/bin/python","/tmp/a1x/make6.py","/tmp/a1x/out"],"entry_point":"tests.registry.samples","source":{"files":32,"kind":"package","name":"understudy-serving","sha256":"e1cb3b1d67550d7e55c4879f55e7243b87287fc6742140097cbf730495c24eef","version":"0.1.0"}},"data":{"evaluation":{"content":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"kept","rows":100,"uri":"memory:kept","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}},"split":{"description":"the last hundred rows are kept","method":"random","seed":7},"training":{"content":"sha256:d53ba501848a39c6091b59d77d74cf2f97b5e7baf0c965e260db36074652d64e","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"train","rows":300,"uri":"memory:train","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}}},"environment":{"converter":{"name":"skl2onnx","version":"1.20.0"},"cpu":"x86_64, 2 cores","gpu":"no GPU","image_digest":null,"lockfile_sha256":"fd093a05d7bdc038841c0e712a3e501167d42625324203cf2b2b541ee37e4acd","onnxruntime":"1.31.1","os":"Linux-6.18.44-fc-v857-x86_64-with-glibc2.36","packages":{"Pygments":"2.21.0","SQLAlchemy":"2.1.9","annotated-doc":"0.0.7","annotated-types":"0.8.0","attrs":"26.1.0","cffi":"2.1.1","cloudpickle":"3.1.2","cryptography":"50.0.2","googleapis-common-protos":"1.76.0","grpcio":"1.85.1","grpcio-health-checking":"1.85.1","grpcio-reflection":"1.85.1","iniconfig":"2.3.1","joblib":"1.6.0","ml_dtypes":"0.6.0","narwhals":"2.28.0","numpy":"2.4.6","onnx":"1.23.2","onnxruntime":"1.31.1","pluggy":"1.7.0","protobuf":"7.36.2","psutil":"7.2.2","psycopg":"3.3.9","psycopg-binary":"3.3.9","pydantic":"2.14.3","pydantic-settings":"2.16.3","pydantic_core":"2.50.4","pytest":"9.2.0","python-dotenv":"1.2.4","rfc8785":"0.1.4","rich":"15.0.0","scikit-learn":"1.9.1","scipy":"1.17.1","setuptools":"65.5.0","shellingham":"1.5.4","skl2onnx":"1.20.0","structlog":"26.1.0","threadpoolctl":"3.8.0","typer":"0.29.2","typing-inspection":"0.4.5","typing_extensions":"4.16.0","uvloop":"0.23.0"},"python":"3.11.7"},"evaluation":{"comparison":{"first_version":true},"metrics":[{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.9933243326783835,"level":0.95,"low":0.9058353311871624,"method":"DeLong"},"n":100,"name":"auc","slice":"all","value":0.949579831932773},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.12529500610154376,"level":0.95,"low":0.06395684952815565,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"brier","slice":"all","value":0.09427273010883506},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.94,"level":0.95,"low":0.82,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"accuracy","slice":"all","value":0.88}],"threshold":0.5},"features":{"columns":[{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f0"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f1"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f2"}],"digest":"6d87c2c8504e5ebbe93ef0d6b95ab64f9c130ca8304de56b39a1f958814f6fb7","transform":{"digest":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","where":"in_model"},"view_digests":{"patient@1":"03606dc56662e14426309bbdad59d667ccc49895425c259ab1d06a44898db1cd"}},"parameters":{"sha256":"1f8a7145de602698814c7c745bba164351079b8dcea3fd7c75283fb24a2153ea","values":{"C":1,"class_weight":null,"dual":false,"estimator":"sklearn.linear_model._logistic.LogisticRegression","fit_intercept":true,"intercept_scaling":1,"l1_ratio":0,"max_iter":100,"n_jobs":null,"penalty":"deprecated","random_state":7,"solver":"lbfgs","tol":0.0001,"verbose":0,"warm_start":false}},"parent":{"conversion":{"max_abs_difference":5.960464477539063e-8,"rows":100,"tolerance":0.00001},"version":"from scratch"},"people":{"approver":"grace@lab","author":"ada@lab","contact":"second@lab","owner":"risk team"},"policy":{"decision_threshold":0.5,"fallback_score":0.5,"intended_use":"tests only","licence":"Apache-2.0","revalidate_by":"2029-05-18"},"run":{"builder":"pytest","ended_at":"2026-11-30T20:08:42.518918+00:00","id":"0fd0df16-58f8-4e8b-8e4c-943c8b5d3c80","started_at":"2026-11-30T20:08:42.222272+00:00"},"schema_version":1,"seeds":{"values":{"random_state":7,"split":7}}}', '[{"datatype":"FP32","name":"X","shape":[-1,3]}]', '[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}]', '["patient@1:f0","patient@1:f1","patient@1:f2"]', '[["patient",1]]', 'probabilities', 1, 1e-05, '[]', true, 'ada@lab', 1796069326266827008);
INSERT INTO public.versions VALUES ('fraud', 3, 'bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df', '[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}]', '7beaac18a68e6923eafa0d27a2b20f2a8fb51413c7c8b2c41fdacb4c93220f41', '{"artifact":{"files":[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}],"golden":{"rows":8,"tolerance":0.00001},"inputs":[{"datatype":"FP32","name":"X","shape":[-1,3]}],"ir_version":8,"joins_rows":true,"opsets":{"":18,"ai.onnx.ml":1},"outputs":[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}],"producer":"skl2onnx 1.20.0"},"code":{"command_line":["/tmp/a1/.venv/bin/python","/tmp/a1x/make6.py","/tmp/a1x/out"],"entry_point":"tests.registry.samples","source":{"files":32,"kind":"package","name":"understudy-serving","sha256":"e1cb3b1d67550d7e55c4879f55e7243b87287fc6742140097cbf730495c24eef","version":"0.1.0"}},"data":{"evaluation":{"content":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"kept","rows":100,"uri":"memory:kept","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}},"split":{"description":"the last hundred rows are kept","method":"random","seed":7},"training":{"content":"sha256:d53ba501848a39c6091b59d77d74cf2f97b5e7baf0c965e260db36074652d64e","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"train","rows":300,"uri":"memory:train","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}}},"environment":{"converter":{"name":"skl2onnx","version":"1.20.0"},"cpu":"x86_64, 2 cores","gpu":"no GPU","image_digest":null,"lockfile_sha256":"fd093a05d7bdc038841c0e712a3e501167d42625324203cf2b2b541ee37e4acd","onnxruntime":"1.31.1","os":"Linux-6.18.44-fc-v857-x86_64-with-glibc2.36","packages":{"Pygments":"2.21.0","SQLAlchemy":"2.1.9","annotated-doc":"0.0.7","annotated-types":"0.8.0","attrs":"26.1.0","cffi":"2.1.1","cloudpickle":"3.1.2","cryptography":"50.0.2","googleapis-common-protos":"1.76.0","grpcio":"1.85.1","grpcio-health-checking":"1.85.1","grpcio-reflection":"1.85.1","iniconfig":"2.3.1","joblib":"1.6.0","ml_dtypes":"0.6.0","narwhals":"2.28.0","numpy":"2.4.6","onnx":"1.23.2","onnxruntime":"1.31.1","pluggy":"1.7.0","protobuf":"7.36.2","psutil":"7.2.2","psycopg":"3.3.9","psycopg-binary":"3.3.9","pydantic":"2.14.3","pydantic-settings":"2.16.3","pydantic_core":"2.50.4","pytest":"9.2.0","python-dotenv":"1.2.4","rfc8785":"0.1.4","rich":"15.0.0","scikit-learn":"1.9.1","scipy":"1.17.1","setuptools":"65.5.0","shellingham":"1.5.4","skl2onnx":"1.20.0","structlog":"26.1.0","threadpoolctl":"3.8.0","typer":"0.29.2","typing-inspection":"0.4.5","typing_extensions":"4.16.0","uvloop":"0.23.0"},"python":"3.11.7"},"evaluation":{"comparison":{"first_version":true},"metrics":[{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.9933243326783835,"level":0.95,"low":0.9058353311871624,"method":"DeLong"},"n":100,"name":"auc","slice":"all","value":0.949579831932773},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.12529500610154376,"level":0.95,"low":0.06395684952815565,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"brier","slice":"all","value":0.09427273010883506},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.94,"level":0.95,"low":0.82,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"accuracy","slice":"all","value":0.88}],"threshold":0.5},"features":{"columns":[{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f0"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f1"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f2"}],"digest":"6d87c2c8504e5ebbe93ef0d6b95ab64f9c130ca8304de56b39a1f958814f6fb7","transform":{"digest":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","where":"in_model"},"view_digests":{"patient@1":"03606dc56662e14426309bbdad59d667ccc49895425c259ab1d06a44898db1cd"}},"parameters":{"sha256":"1f8a7145de602698814c7c745bba164351079b8dcea3fd7c75283fb24a2153ea","values":{"C":1,"class_weight":null,"dual":false,"estimator":"sklearn.linear_model._logistic.LogisticRegression","fit_intercept":true,"intercept_scaling":1,"l1_ratio":0,"max_iter":100,"n_jobs":null,"penalty":"deprecated","random_state":7,"solver":"lbfgs","tol":0.0001,"verbose":0,"warm_start":false}},"parent":{"conversion":{"max_abs_difference":5.960464477539063e-8,"rows":100,"tolerance":0.00001},"version":"from scratch"},"people":{"approver":"grace@lab","author":"ada@lab","contact":"third@lab","owner":"risk team"},"policy":{"decision_threshold":0.5,"fallback_score":0.5,"intended_use":"tests only","licence":"Apache-2.0","revalidate_by":"2029-05-18"},"run":{"builder":"pytest","ended_at":"2026-11-30T20:08:42.518918+00:00","id":"0fd0df16-58f8-4e8b-8e4c-943c8b5d3c80","started_at":"2026-11-30T20:08:42.222272+00:00"},"schema_version":1,"seeds":{"values":{"random_state":7,"split":7}}}', '[{"datatype":"FP32","name":"X","shape":[-1,3]}]', '[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}]', '["patient@1:f0","patient@1:f1","patient@1:f2"]', '[["patient",1]]', 'probabilities', 1, 1e-05, '[]', true, 'ada@lab', 1796069326778635008);

INSERT INTO public.votes VALUES ('fraud', 2, 1, 'approve', '72b03a9629f3cdcd5ecf0cf35c38258143b0c830f6fb432544caa7bf332b7ae5', 'bob', 'r', 1796069327212965888, 1796069387212965888);

SELECT pg_catalog.setval('public.heard_reports_order', 1, true);

ALTER TABLE ONLY public.acting
    ADD CONSTRAINT acting_pkey PRIMARY KEY (model);

ALTER TABLE ONLY public.approval_policies
    ADD CONSTRAINT approval_policies_pkey PRIMARY KEY (model, place);

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (sequence);

ALTER TABLE ONLY public.epochs
    ADD CONSTRAINT epochs_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.feature_views
    ADD CONSTRAINT feature_views_pkey PRIMARY KEY (name, version);

ALTER TABLE ONLY public.heard_reports
    ADD CONSTRAINT heard_reports_pkey PRIMARY KEY (kind, name);

ALTER TABLE ONLY public.host_reports
    ADD CONSTRAINT host_reports_pkey PRIMARY KEY (host_id);

ALTER TABLE ONLY public.lineage
    ADD CONSTRAINT lineage_pkey PRIMARY KEY (place);

ALTER TABLE ONLY public.loads
    ADD CONSTRAINT loads_pkey PRIMARY KEY (artifact_digest, onnxruntime);

ALTER TABLE ONLY public.marks
    ADD CONSTRAINT marks_pkey PRIMARY KEY (kind, model, number);

ALTER TABLE ONLY public.named_versions
    ADD CONSTRAINT named_versions_pkey PRIMARY KEY (model, number);

ALTER TABLE ONLY public.refusals
    ADD CONSTRAINT refusals_pkey PRIMARY KEY (sequence);

ALTER TABLE ONLY public.registry
    ADD CONSTRAINT registry_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.revisions
    ADD CONSTRAINT revisions_pkey PRIMARY KEY (model, revision);

ALTER TABLE ONLY public.shared_state
    ADD CONSTRAINT shared_state_pkey PRIMARY KEY (place);

ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (model, name);

ALTER TABLE ONLY public.versions
    ADD CONSTRAINT versions_pkey PRIMARY KEY (model, number);

ALTER TABLE ONLY public.votes
    ADD CONSTRAINT votes_pkey PRIMARY KEY (model, number, place);

CREATE INDEX audit_of_model ON public.audit USING btree (model, sequence);

CREATE INDEX heard_reports_by_order ON public.heard_reports USING btree (written);

CREATE TRIGGER approval_policies_not_emptied BEFORE TRUNCATE ON public.approval_policies FOR EACH STATEMENT EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER approval_policies_written_once BEFORE DELETE OR UPDATE ON public.approval_policies FOR EACH ROW EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER audit_not_emptied BEFORE TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER audit_written_once BEFORE DELETE OR UPDATE ON public.audit FOR EACH ROW EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER epochs_not_emptied BEFORE TRUNCATE ON public.epochs FOR EACH STATEMENT EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER epochs_written_once BEFORE DELETE OR UPDATE ON public.epochs FOR EACH ROW EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER feature_views_not_emptied BEFORE TRUNCATE ON public.feature_views FOR EACH STATEMENT EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER feature_views_written_once BEFORE DELETE OR UPDATE ON public.feature_views FOR EACH ROW EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER lineage_not_emptied BEFORE TRUNCATE ON public.lineage FOR EACH STATEMENT EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER lineage_written_once BEFORE DELETE OR UPDATE ON public.lineage FOR EACH ROW EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER refusals_not_emptied BEFORE TRUNCATE ON public.refusals FOR EACH STATEMENT EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER refusals_written_once BEFORE DELETE OR UPDATE ON public.refusals FOR EACH ROW EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER revisions_not_emptied BEFORE TRUNCATE ON public.revisions FOR EACH STATEMENT EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER revisions_written_once BEFORE DELETE OR UPDATE ON public.revisions FOR EACH ROW EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER versions_not_emptied BEFORE TRUNCATE ON public.versions FOR EACH STATEMENT EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER versions_written_once BEFORE DELETE OR UPDATE ON public.versions FOR EACH ROW EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER votes_not_emptied BEFORE TRUNCATE ON public.votes FOR EACH STATEMENT EXECUTE FUNCTION public.understudy_written_once();

CREATE TRIGGER votes_written_once BEFORE DELETE OR UPDATE ON public.votes FOR EACH ROW EXECUTE FUNCTION public.understudy_written_once();
