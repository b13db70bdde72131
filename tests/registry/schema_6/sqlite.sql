-- A registry's database with schema 6, as commit 32458591 wrote it; see README.md.
BEGIN TRANSACTION;
CREATE TABLE acting (
	model VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	revision BIGINT NOT NULL, 
	because VARCHAR(32), 
	since_ns BIGINT NOT NULL, 
	PRIMARY KEY (model)
);
CREATE TABLE approval_policies (
	model VARCHAR(63) NOT NULL, 
	place INTEGER NOT NULL, 
	approvers INTEGER NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	PRIMARY KEY (model, place)
);
INSERT INTO "approval_policies" VALUES('fraud',1,1,'bob','r',1796069324284708864);
CREATE TABLE audit (
	sequence BIGINT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	actor TEXT NOT NULL, 
	proof VARCHAR(16) NOT NULL, 
	peer TEXT NOT NULL, 
	on_behalf_of TEXT NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	model VARCHAR(63) NOT NULL, 
	reason TEXT NOT NULL, 
	from_revision BIGINT NOT NULL, 
	to_revision BIGINT NOT NULL, 
	details_json TEXT NOT NULL, 
	previous_digest VARCHAR(64) NOT NULL, 
	format VARCHAR(32) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "audit" VALUES(1,1796069323062875136,'ada@lab','unproven','ipv4:127.0.0.1','','register','fraud','a test',0,0,'{"artifact_digest":"bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df","content_digest":"c3fbd2d0c6cb50f815e410a27791ee26b585784d825fbae46a2451c62ad03023","digest":"084c7350a3546a564f5bf6b02c94162ff14c289c864284c14e37370daa698835","provenance_digest":"a9a730baaf2ca8443618914644819e590bd2bd0a4685caa119152a3897be21e0","version":"fraud@1"}','961bd10f2847cc42431989408a9475aecb1e259e64233cc30e324c24f9bc4099','understudy/audit_row/2','db2ff4658caf97fc173466e6821d54ad00c83026f14fc7c2a59d88fc1f1f57f4');
INSERT INTO "audit" VALUES(2,1796069323603202048,'ada@lab','unproven','ipv4:127.0.0.1','','register','fraud','a test',0,0,'{"artifact_digest":"bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df","content_digest":"72b03a9629f3cdcd5ecf0cf35c38258143b0c830f6fb432544caa7bf332b7ae5","digest":"20ed6a2bfbb35327a6c2664e089355dcf498cb03fb0189008cbde38e9e53fd7c","provenance_digest":"d9f103ef52434a95fcb14380e6b6a8d2f8799cf16822f7b2632aebfec0b994d9","version":"fraud@2"}','db2ff4658caf97fc173466e6821d54ad00c83026f14fc7c2a59d88fc1f1f57f4','understudy/audit_row/2','396476af632065f503bd824489f89a5978cc97e4d6bc5c0566a1ef58b720a96b');
INSERT INTO "audit" VALUES(3,1796069324143995136,'ada@lab','unproven','ipv4:127.0.0.1','','register','fraud','a test',0,0,'{"artifact_digest":"bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df","content_digest":"11430bcde2c6745900fcd0e8b0d931292e053c0a33fca17f08e10334c36eeeca","digest":"ab3a5f471a0ec3ee92da01b47f688616908eb5bf1d7a7950579885def1056897","provenance_digest":"7beaac18a68e6923eafa0d27a2b20f2a8fb51413c7c8b2c41fdacb4c93220f41","version":"fraud@3"}','396476af632065f503bd824489f89a5978cc97e4d6bc5c0566a1ef58b720a96b','understudy/audit_row/2','4962719b49b4e27611587ab1b03867dc47cd84c227ecf46d81cdae14022e75bb');
INSERT INTO "audit" VALUES(4,1796069324173590784,'ada@lab','unproven','ipv4:127.0.0.1','','deploy','fraud','Grund: ä — 試験',0,1,'{"digest":"d8cefc5813da1c88e693e6b3a087327b4b0ec4fd1544b2c54b8c34ee10e62444","from_digest":null,"to_contract":"0c5f06084ec3cbf0d92faef667f48f55e5e96a135eae48d8d8fa6af46e897be8","to_digest":"c9fbe4e069b1021efaba69f5a2d3654a98c44957791566ac3efbfcf531e920ce"}','4962719b49b4e27611587ab1b03867dc47cd84c227ecf46d81cdae14022e75bb','understudy/audit_row/2','996a640812b3cf458f18ab369b7b51243a9da95981181c709c0f56947383b179');
INSERT INTO "audit" VALUES(5,1796069324196288000,'ada@lab','unproven','ipv4:127.0.0.1','','canary','fraud','Grund: ä — 試験',1,2,'{"digest":"0186e40f368ebc9e50a3ba25ffbe53b3da2f5ba89facd8d68077e0bbcfb31da1","from_digest":"c9fbe4e069b1021efaba69f5a2d3654a98c44957791566ac3efbfcf531e920ce","to_contract":"0c5f06084ec3cbf0d92faef667f48f55e5e96a135eae48d8d8fa6af46e897be8","to_digest":"d1463aa909bf1e720f3b1fc20f5b0b42b838a5cf6ba3c88dc1165b50a66ef248"}','996a640812b3cf458f18ab369b7b51243a9da95981181c709c0f56947383b179','understudy/audit_row/2','8e63af545905468790261887cec027517ed218b854aa0c96587468c052701ad2');
INSERT INTO "audit" VALUES(6,1796069324211503104,'ada@lab','unproven','ipv4:127.0.0.1','','threshold','fraud','Grund: ä — 試験',2,3,'{"digest":"31f2898a6edddac778aba90bbd2c23fd1506620cdf35a7586c18f2f1e8e14300","from_digest":"d1463aa909bf1e720f3b1fc20f5b0b42b838a5cf6ba3c88dc1165b50a66ef248","to_contract":"0c5f06084ec3cbf0d92faef667f48f55e5e96a135eae48d8d8fa6af46e897be8","to_digest":"4e2145ed18e6e5c7eeb0d84f73ca949ecd60adf410528109853eca0be28a097f"}','8e63af545905468790261887cec027517ed218b854aa0c96587468c052701ad2','understudy/audit_row/2','1459b41940f7873068705bba6a128dd7b1746d704d7c1018b4597c35f85e0193');
INSERT INTO "audit" VALUES(7,1796069324218930944,'ada@lab','unproven','ipv4:127.0.0.1','','drill','','a test',0,0,'{"duration_s":30,"level":"L2","router":"host:/r"}','1459b41940f7873068705bba6a128dd7b1746d704d7c1018b4597c35f85e0193','understudy/audit_row/2','8336723b67f4e650caaebbd3310e91ced464decf1d48770896ef43fcc38334d6');
INSERT INTO "audit" VALUES(8,1796069324222883840,'ada@lab','unproven','ipv4:127.0.0.1','','block','fraud','a test',0,0,'{"digest":"b23748b043f8de7ce4fdd8c194059a153e4a19b89e9272515c1c10ce537dc4a9","version":"fraud@1"}','8336723b67f4e650caaebbd3310e91ced464decf1d48770896ef43fcc38334d6','understudy/audit_row/2','396fed5ca70cf7478dc7afde5a232146d413236a43e77765ff20ae013881b005');
INSERT INTO "audit" VALUES(9,1796069324230937088,'ada@lab','unproven','ipv4:127.0.0.1','','unblock','fraud','a test',0,0,'{"digest":"1505382221b51588996775e462626c7e6ab9ece53deb1c0b29070efbc36b13bc","version":"fraud@1"}','396fed5ca70cf7478dc7afde5a232146d413236a43e77765ff20ae013881b005','understudy/audit_row/2','c87235d6372c75e1ad893ff6313e28e6c43799cdc7dd9c4fa89000bebe601608');
INSERT INTO "audit" VALUES(10,1796069324238360832,'ada@lab','unproven','ipv4:127.0.0.1','','tag','fraud','a test',0,0,'{"digest":"4560c7d2e7377c9252b382f6c774ad8a98fc4efc167a95f0c0773f4210d070a5","tag":"baseline","version":"fraud@1"}','c87235d6372c75e1ad893ff6313e28e6c43799cdc7dd9c4fa89000bebe601608','understudy/audit_row/2','7638396c647cc0603a19ae0074dd2ab7cef3e89cfe5743a5c6b934645de0a76f');
INSERT INTO "audit" VALUES(11,1796069324242958080,'ada@lab','unproven','ipv4:127.0.0.1','','block','fraud','a test',0,0,'{"digest":"61b58b30c9b501e1211019b18062a216da93c4d1aed82fece05aa73e4964a637","version":"fraud@3"}','7638396c647cc0603a19ae0074dd2ab7cef3e89cfe5743a5c6b934645de0a76f','understudy/audit_row/2','246cb3551b16cdaef8ab611fa1fc1c6901df20aff8f602aa467626c9c120c238');
INSERT INTO "audit" VALUES(12,1796069324257675776,'ada@lab','unproven','ipv4:127.0.0.1','','restore','','a test',0,0,'{"digest":"4b2a7fc6bffdefb8ccecf13cdd74e9c80426f340f33dca8e936873061724957a","ended":[],"lineage":"46ae9967-4f7b-4abe-a707-d05eec1ba2bc","place":2,"revision":2000,"successor_of":"00000000-0000-0000-0000-000000000001"}','246cb3551b16cdaef8ab611fa1fc1c6901df20aff8f602aa467626c9c120c238','understudy/audit_row/2','2c4d594867dd50862cbb7607a02fd9346ef53cc7d5bf1043bcddeb2c46dbe5ac');
INSERT INTO "audit" VALUES(13,1796069324257675776,'ada@lab','unproven','ipv4:127.0.0.1','','restore','fraud','a test',3,2000,'{"digest":"1db89d85bb4cc5d34c654d07b8885c9b9e4e5291b6221c5db209d181267b6b87","from_digest":"4e2145ed18e6e5c7eeb0d84f73ca949ecd60adf410528109853eca0be28a097f","to_contract":"0c5f06084ec3cbf0d92faef667f48f55e5e96a135eae48d8d8fa6af46e897be8","to_digest":"4e2145ed18e6e5c7eeb0d84f73ca949ecd60adf410528109853eca0be28a097f"}','2c4d594867dd50862cbb7607a02fd9346ef53cc7d5bf1043bcddeb2c46dbe5ac','understudy/audit_row/2','8002fc9928b3927004177d5e342fba9dc89b26feab531d51afca94c006d3af3b');
INSERT INTO "audit" VALUES(14,1796069324281676032,'bob','token','','','approve','fraud','r',0,0,'{"content_digest":"72b03a9629f3cdcd5ecf0cf35c38258143b0c830f6fb432544caa7bf332b7ae5","digest":"c87cfbebb910bc7f971d0b1c8f90d509b3e7a9908a86cfaf3f583f27da84454f","expires_ns":"1796069384281676032","place":1,"version":"fraud@2"}','8002fc9928b3927004177d5e342fba9dc89b26feab531d51afca94c006d3af3b','understudy/audit_row/2','bc3c658598963e9ba3a310b636c3dd2b059a85c23a697283612b792f54e8ebf6');
INSERT INTO "audit" VALUES(15,1796069324284708864,'bob','token','','','approval_policy','fraud','r',0,0,'{"approvers":1,"digest":"7a51df2b827311b5a95826369cb724ef8d34685a6b5ca7a2b4f31832f8cbcb05","place":1}','bc3c658598963e9ba3a310b636c3dd2b059a85c23a697283612b792f54e8ebf6','understudy/audit_row/2','d99d53eaac5ca784f1b1132a37d1d05e875bb091ac654fcdfb2bebfa958a88ec');
CREATE TABLE epochs (
	number INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	first_change BIGINT NOT NULL, 
	file TEXT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "epochs" VALUES(1,'1f23eab1-3abe-41e2-b0ad-034bad33e143',0,'e1e44979-da03-4150-985b-b22ed4209f88:65024:3170388');
CREATE TABLE feature_views (
	name VARCHAR(63) NOT NULL, 
	version INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	canonical_json TEXT NOT NULL, 
	PRIMARY KEY (name, version)
);
INSERT INTO "feature_views" VALUES('patient',1,'03606dc56662e14426309bbdad59d667ccc49895425c259ab1d06a44898db1cd','{"entity":"patient","features":[{"default":0,"dtype":"float32","max_age_s":null,"name":"f0"},{"default":0,"dtype":"float32","max_age_s":null,"name":"f1"},{"default":0,"dtype":"float32","max_age_s":null,"name":"f2"}],"format":"understudy/feature_view/1","name":"patient","ttl_s":null,"version":1}');
CREATE TABLE host_reports (
	host_id VARCHAR(255) NOT NULL, 
	report_json TEXT NOT NULL, 
	PRIMARY KEY (host_id)
);
INSERT INTO "host_reports" VALUES('h-1','{"host_id":"h-1","processes":[{"ref":{"model":"fraud","number":1},"replica":0,"address":"127.0.0.1:9000","state":"ready","artifact_digest":"bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df","host_id":"h-1","restarts":0,"loaded_digest":null,"last_error":null,"started_at_ns":null,"pid":null}],"belief":null,"placement":{"models":[],"labels":[]}}');
CREATE TABLE lineage (
	place INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	successor_of TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	ended_json TEXT NOT NULL, 
	PRIMARY KEY (place)
);
INSERT INTO "lineage" VALUES(1,'fb0be001-48fd-405a-9b10-d94515acd3a0','',0,'[]');
INSERT INTO "lineage" VALUES(2,'46ae9967-4f7b-4abe-a707-d05eec1ba2bc','00000000-0000-0000-0000-000000000001',2000,'[]');
CREATE TABLE loads (
	artifact_digest VARCHAR(64) NOT NULL, 
	onnxruntime VARCHAR(64) NOT NULL, 
	PRIMARY KEY (artifact_digest, onnxruntime)
);
INSERT INTO "loads" VALUES('bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df','1.31.1');
CREATE TABLE marks (
	kind VARCHAR(32) NOT NULL, 
	model VARCHAR(63) NOT NULL, 
	number INTEGER NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	PRIMARY KEY (kind, model, number)
);
INSERT INTO "marks" VALUES('block','fraud',3,'ada@lab','a test',1796069324242958080);
CREATE TABLE named_versions (
	model VARCHAR(63) NOT NULL, 
	number INTEGER NOT NULL, 
	champion_in INTEGER NOT NULL, 
	PRIMARY KEY (model, number)
);
INSERT INTO "named_versions" VALUES('fraud',1,2000);
INSERT INTO "named_versions" VALUES('fraud',2,0);
CREATE TABLE refusals (
	sequence BIGINT NOT NULL, 
	minute_ns BIGINT NOT NULL, 
	actor TEXT NOT NULL, 
	peer TEXT NOT NULL, 
	call VARCHAR(64) NOT NULL, 
	reason VARCHAR(32) NOT NULL, 
	attempts BIGINT NOT NULL, 
	previous_digest VARCHAR(64) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "refusals" VALUES(1,1796069280000000000,'ada@lab','ipv4:127.0.0.1','ChangeDeployment','refused',1,'961bd10f2847cc42431989408a9475aecb1e259e64233cc30e324c24f9bc4099','9a9244c599661d267b585f064374756e9cd2a047afb6e8cd52f7f500e6a9e2ac');
INSERT INTO "refusals" VALUES(2,60000000000,'mallory','ipv4:10.0.0.9','SetBlock','permission_refused',1,'9a9244c599661d267b585f064374756e9cd2a047afb6e8cd52f7f500e6a9e2ac','181009f7b6b527a9e5d1ce3a298eb05a85adfb1ad5745a5dfc857ab996ad7687');
CREATE TABLE registry (
	name VARCHAR(32) NOT NULL, 
	value BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "registry" VALUES('schema_version',6);
INSERT INTO "registry" VALUES('refusals',2);
CREATE TABLE revisions (
	model VARCHAR(63) NOT NULL, 
	revision INTEGER NOT NULL, 
	champion INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	content_json TEXT NOT NULL, 
	contract_json TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	reason TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	PRIMARY KEY (model, revision)
);
INSERT INTO "revisions" VALUES('fraud',1,1,'c9fbe4e069b1021efaba69f5a2d3654a98c44957791566ac3efbfcf531e920ce','{"challengers":[],"champion":1,"decision_threshold":0.5,"fallback":{"constant_score":0.5,"last_score_max_age_s":null,"version":null},"host_labels":[],"model":"fraud","rules":[],"salt":"fraud","shadows":[]}','{"entities":["patient"],"features":[{"dtype":"float32","name":"f0"},{"dtype":"float32","name":"f1"},{"dtype":"float32","name":"f2"}],"outputs":["label","probabilities"],"required_entities":["patient"],"seen_version":3,"unit_entity":"patient"}','ada@lab','deploy','Grund: ä — 試験',1796069324173590784);
INSERT INTO "revisions" VALUES('fraud',2,1,'d1463aa909bf1e720f3b1fc20f5b0b42b838a5cf6ba3c88dc1165b50a66ef248','{"challengers":[{"version":2,"weight_bp":500}],"champion":1,"decision_threshold":0.5,"fallback":{"constant_score":0.5,"last_score_max_age_s":null,"version":null},"host_labels":[],"model":"fraud","rules":[],"salt":"fraud","shadows":[]}','{"entities":["patient"],"features":[{"dtype":"float32","name":"f0"},{"dtype":"float32","name":"f1"},{"dtype":"float32","name":"f2"}],"outputs":["label","probabilities"],"required_entities":["patient"],"seen_version":3,"unit_entity":"patient"}','ada@lab','canary','Grund: ä — 試験',1796069324196288000);
INSERT INTO "revisions" VALUES('fraud',3,1,'4e2145ed18e6e5c7eeb0d84f73ca949ecd60adf410528109853eca0be28a097f','{"challengers":[{"version":2,"weight_bp":500}],"champion":1,"decision_threshold":0.25,"fallback":{"constant_score":0.5,"last_score_max_age_s":null,"version":null},"host_labels":[],"model":"fraud","rules":[],"salt":"fraud","shadows":[]}','{"entities":["patient"],"features":[{"dtype":"float32","name":"f0"},{"dtype":"float32","name":"f1"},{"dtype":"float32","name":"f2"}],"outputs":["label","probabilities"],"required_entities":["patient"],"seen_version":3,"unit_entity":"patient"}','ada@lab','threshold','Grund: ä — 試験',1796069324211503104);
INSERT INTO "revisions" VALUES('fraud',2000,1,'4e2145ed18e6e5c7eeb0d84f73ca949ecd60adf410528109853eca0be28a097f','{"challengers":[{"version":2,"weight_bp":500}],"champion":1,"decision_threshold":0.25,"fallback":{"constant_score":0.5,"last_score_max_age_s":null,"version":null},"host_labels":[],"model":"fraud","rules":[],"salt":"fraud","shadows":[]}','{"entities":["patient"],"features":[{"dtype":"float32","name":"f0"},{"dtype":"float32","name":"f1"},{"dtype":"float32","name":"f2"}],"outputs":["label","probabilities"],"required_entities":["patient"],"seen_version":3,"unit_entity":"patient"}','ada@lab','restore','a test',1796069324257675776);
CREATE TABLE tags (
	model VARCHAR(63) NOT NULL, 
	name VARCHAR(63) NOT NULL, 
	number INTEGER NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	PRIMARY KEY (model, name)
);
INSERT INTO "tags" VALUES('fraud','baseline',1,'ada@lab','a test',1796069324238360832);
CREATE TABLE versions (
	model VARCHAR(63) NOT NULL, 
	number INTEGER NOT NULL, 
	artifact_digest VARCHAR(64) NOT NULL, 
	files_json TEXT NOT NULL, 
	provenance_digest VARCHAR(64) NOT NULL, 
	provenance_json TEXT NOT NULL, 
	inputs_json TEXT NOT NULL, 
	outputs_json TEXT NOT NULL, 
	feature_set_json TEXT NOT NULL, 
	view_names_json TEXT NOT NULL, 
	score_output TEXT NOT NULL, 
	score_column INTEGER NOT NULL, 
	golden_tolerance FLOAT NOT NULL, 
	column_inputs_json TEXT NOT NULL, 
	joins_rows BOOLEAN NOT NULL, 
	registered_by TEXT NOT NULL, 
	registered_at_ns BIGINT NOT NULL, 
	PRIMARY KEY (model, number)
);
INSERT INTO "versions" VALUES('fraud',1,'bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df','[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}]','a9a730baaf2ca8443618914644819e590bd2bd0a4685caa119152a3897be21e0','{"artifact":{"files":[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}],"golden":{"rows":8,"tolerance":0.00001},"inputs":[{"datatype":"FP32","name":"X","shape":[-1,3]}],"ir_version":8,"joins_rows":true,"opsets":{"":18,"ai.onnx.ml":1},"outputs":[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}],"producer":"skl2onnx 1.20.0"},"code":{"command_line":["/tmp/a1/.venv/bin/python","/tmp/a1x/make6.py","/tmp/a1x/out"],"entry_point":"tests.registry.samples","source":{"files":32,"kind":"package","name":"understudy-serving","sha256":"e1cb3b1d67550d7e55c4879f55e7243b87287fc6742140097cbf730495c24eef","version":"0.1.0"}},"data":{"evaluation":{"content":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"kept","rows":100,"uri":"memory:kept","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}},"split":{"description":"the last hundred rows are kept","method":"random","seed":7},"training":{"content":"sha256:d53ba501848a39c6091b59d77d74cf2f97b5e7baf0c965e260db36074652d64e","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"train","rows":300,"uri":"memory:train","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}}},"environment":{"converter":{"name":"skl2onnx","version":"1.20.0"},"cpu":"x86_64, 2 cores","gpu":"no GPU","image_digest":null,"lockfile_sha256":"fd093a05d7bdc038841c0e712a3e501167d42625324203cf2b2b541ee37e4acd","onnxruntime":"1.31.1","os":"Linux-6.18.44-fc-v857-x86_64-with-glibc2.36","packages":{"Pygments":"2.21.0","SQLAlchemy":"2.1.9","annotated-doc":"0.0.7","annotated-types":"0.8.0","attrs":"26.1.0","cffi":"2.1.1","cloudpickle":"3.1.2","cryptography":"50.0.2","googleapis-common-protos":"1.76.0","grpcio":"1.85.1","grpcio-health-checking":"1.85.1","grpcio-reflection":"1.85.1","iniconfig":"2.3.1","joblib":"1.6.0","ml_dtypes":"0.6.0","narwhals":"2.28.0","numpy":"2.4.6","onnx":"1.23.2","onnxruntime":"1.31.1","pluggy":"1.7.0","protobuf":"7.36.2","psutil":"7.2.2","psycopg":"3.3.9","psycopg-binary":"3.3.9","pydantic":"2.14.3","pydantic-settings":"2.16.3","pydantic_core":"2.50.4","pytest":"9.2.0","python-dotenv":"1.2.4","rfc8785":"0.1.4","rich":"15.0.0","scikit-learn":"1.9.1","scipy":"1.17.1","setuptools":"65.5.0","shellingham":"1.5.4","skl2onnx":"1.20.0","structlog":"26.1.0","threadpoolctl":"3.8.0","typer":"0.29.2","typing-inspection":"0.4.5","typing_extensions":"4.16.0","uvloop":"0.23.0"},"python":"3.11.7"},"evaluation":{"comparison":{"first_version":true},"metrics":[{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.9933243326783835,"level":0.95,"low":0.9058353311871624,"method":"DeLong"},"n":100,"name":"auc","slice":"all","value":0.949579831932773},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.12529500610154376,"level":0.95,"low":0.06395684952815565,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"brier","slice":"all","value":0.09427273010883506},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.94,"level":0.95,"low":0.82,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"accuracy","slice":"all","value":0.88}],"threshold":0.5},"features":{"columns":[{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f0"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f1"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f2"}],"digest":"6d87c2c8504e5ebbe93ef0d6b95ab64f9c130ca8304de56b39a1f958814f6fb7","transform":{"digest":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","where":"in_model"},"view_digests":{"patient@1":"03606dc56662e14426309bbdad59d667ccc49895425c259ab1d06a44898db1cd"}},"parameters":{"sha256":"1f8a7145de602698814c7c745bba164351079b8dcea3fd7c75283fb24a2153ea","values":{"C":1,"class_weight":null,"dual":false,"estimator":"sklearn.linear_model._logistic.LogisticRegression","fit_intercept":true,"intercept_scaling":1,"l1_ratio":0,"max_iter":100,"n_jobs":null,"penalty":"deprecated","random_state":7,"solver":"lbfgs","tol":0.0001,"verbose":0,"warm_start":false}},"parent":{"conversion":{"max_abs_difference":5.960464477539063e-8,"rows":100,"tolerance":0.00001},"version":"from scratch"},"people":{"approver":"grace@lab","author":"ada@lab","contact":"first@lab","owner":"risk team"},"policy":{"decision_threshold":0.5,"fallback_score":0.5,"intended_use":"tests only","licence":"Apache-2.0","revalidate_by":"2029-05-18"},"run":{"builder":"pytest","ended_at":"2026-11-30T20:08:42.518918+00:00","id":"0fd0df16-58f8-4e8b-8e4c-943c8b5d3c80","started_at":"2026-11-30T20:08:42.222272+00:00"},"schema_version":1,"seeds":{"values":{"random_state":7,"split":7}}}','[{"datatype":"FP32","name":"X","shape":[-1,3]}]','[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}]','["patient@1:f0","patient@1:f1","patient@1:f2"]','[["patient",1]]','probabilities',1,1.0e-05,'[]',1,'ada@lab',1796069323062875136);
INSERT INTO "versions" VALUES('fraud',2,'bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df','[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}]','d9f103ef52434a95fcb14380e6b6a8d2f8799cf16822f7b2632aebfec0b994d9','{"artifact":{"files":[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}],"golden":{"rows":8,"tolerance":0.00001},"inputs":[{"datatype":"FP32","name":"X","shape":[-1,3]}],"ir_version":8,"joins_rows":true,"opsets":{"":18,"ai.onnx.ml":1},"outputs":[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}],"producer":"skl2onnx 1.20.0"},"code":{"command_line":["/tmp/a1/.venv/bin/python","/tmp/a1x/make6.py","/tmp/a1x/out"],"entry_point":"tests.registry.samples","source":{"files":32,"kind":"package","name":"understudy-serving","sha256":"e1cb3b1d67550d7e55c4879f55e7243b87287fc6742140097cbf730495c24eef","version":"0.1.0"}},"data":{"evaluation":{"content":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"kept","rows":100,"uri":"memory:kept","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}},"split":{"description":"the last hundred rows are kept","method":"random","seed":7},"training":{"content":"sha256:d53ba501848a39c6091b59d77d74cf2f97b5e7baf0c965e260db36074652d64e","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"train","rows":300,"uri":"memory:train","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}}},"environment":{"converter":{"name":"skl2onnx","version":"1.20.0"},"cpu":"x86_64, 2 cores","gpu":"no GPU","image_digest":null,"lockfile_sha256":"fd093a05d7bdc038841c0e712a3e501167d42625324203cf2b2b541ee37e4acd","onnxruntime":"1.31.1","os":"Linux-6.18.44-fc-v857-x86_64-with-glibc2.36","packages":{"Pygments":"2.21.0","SQLAlchemy":"2.1.9","annotated-doc":"0.0.7","annotated-types":"0.8.0","attrs":"26.1.0","cffi":"2.1.1","cloudpickle":"3.1.2","cryptography":"50.0.2","googleapis-common-protos":"1.76.0","grpcio":"1.85.1","grpcio-health-checking":"1.85.1","grpcio-reflection":"1.85.1","iniconfig":"2.3.1","joblib":"1.6.0","ml_dtypes":"0.6.0","narwhals":"2.28.0","numpy":"2.4.6","onnx":"1.23.2","onnxruntime":"1.31.1","pluggy":"1.7.0","protobuf":"7.36.2","psutil":"7.2.2","psycopg":"3.3.9","psycopg-binary":"3.3.9","pydantic":"2.14.3","pydantic-settings":"2.16.3","pydantic_core":"2.50.4","pytest":"9.2.0","python-dotenv":"1.2.4","rfc8785":"0.1.4","rich":"15.0.0","scikit-learn":"1.9.1","scipy":"1.17.1","setuptools":"65.5.0","shellingham":"1.5.4","skl2onnx":"1.20.0","structlog":"26.1.0","threadpoolctl":"3.8.0","typer":"0.29.2","typing-inspection":"0.4.5","typing_extensions":"4.16.0","uvloop":"0.23.0"},"python":"3.11.7"},"evaluation":{"comparison":{"first_version":true},"metrics":[{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.9933243326783835,"level":0.95,"low":0.9058353311871624,"method":"DeLong"},"n":100,"name":"auc","slice":"all","value":0.949579831932773},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.12529500610154376,"level":0.95,"low":0.06395684952815565,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"brier","slice":"all","value":0.09427273010883506},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.94,"level":0.95,"low":0.82,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"accuracy","slice":"all","value":0.88}],"threshold":0.5},"features":{"columns":[{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f0"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f1"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f2"}],"digest":"6d87c2c8504e5ebbe93ef0d6b95ab64f9c130ca8304de56b39a1f958814f6fb7","transform":{"digest":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","where":"in_model"},"view_digests":{"patient@1":"03606dc56662e14426309bbdad59d667ccc49895425c259ab1d06a44898db1cd"}},"parameters":{"sha256":"1f8a7145de602698814c7c745bba164351079b8dcea3fd7c75283fb24a2153ea","values":{"C":1,"class_weight":null,"dual":false,"estimator":"sklearn.linear_model._logistic.LogisticRegression","fit_intercept":true,"intercept_scaling":1,"l1_ratio":0,"max_iter":100,"n_jobs":null,"penalty":"deprecated","random_state":7,"solver":"lbfgs","tol":0.0001,"verbose":0,"warm_start":false}},"parent":{"conversion":{"max_abs_difference":5.960464477539063e-8,"rows":100,"tolerance":0.00001},"version":"from scratch"},"people":{"approver":"grace@lab","author":"ada@lab","contact":"second@lab","owner":"risk team"},"policy":{"decision_threshold":0.5,"fallback_score":0.5,"intended_use":"tests only","licence":"Apache-2.0","revalidate_by":"2029-05-18"},"run":{"builder":"pytest","ended_at":"2026-11-30T20:08:42.518918+00:00","id":"0fd0df16-58f8-4e8b-8e4c-943c8b5d3c80","started_at":"2026-11-30T20:08:42.222272+00:00"},"schema_version":1,"seeds":{"values":{"random_state":7,"split":7}}}','[{"datatype":"FP32","name":"X","shape":[-1,3]}]','[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}]','["patient@1:f0","patient@1:f1","patient@1:f2"]','[["patient",1]]','probabilities',1,1.0e-05,'[]',1,'ada@lab',1796069323603202048);
INSERT INTO "versions" VALUES('fraud',3,'bb132f76562c135b116cc5da46a4cb0320dab3c7db0b532529ee227118ae59df','[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}]','7beaac18a68e6923eafa0d27a2b20f2a8fb51413c7c8b2c41fdacb4c93220f41','{"artifact":{"files":[{"path":"golden.npz","sha256":"afea4ee435ae025933500f739fecffa0ae4042d3c42fc84ff5b5519d9cd10735","size_bytes":1002},{"path":"model.onnx","sha256":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","size_bytes":389}],"golden":{"rows":8,"tolerance":0.00001},"inputs":[{"datatype":"FP32","name":"X","shape":[-1,3]}],"ir_version":8,"joins_rows":true,"opsets":{"":18,"ai.onnx.ml":1},"outputs":[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}],"producer":"skl2onnx 1.20.0"},"code":{"command_line":["/tmp/a1/.venv/bin/python","/tmp/a1x/make6.py","/tmp/a1x/out"],"entry_point":"tests.registry.samples","source":{"files":32,"kind":"package","name":"understudy-serving","sha256":"e1cb3b1d67550d7e55c4879f55e7243b87287fc6742140097cbf730495c24eef","version":"0.1.0"}},"data":{"evaluation":{"content":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"kept","rows":100,"uri":"memory:kept","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}},"split":{"description":"the last hundred rows are kept","method":"random","seed":7},"training":{"content":"sha256:d53ba501848a39c6091b59d77d74cf2f97b5e7baf0c965e260db36074652d64e","label":{"definition":"bought within 30 days","matured_at":"2025-08-01T00:00:00+00:00"},"name":"train","rows":300,"uri":"memory:train","window":{"from":"2025-01-01T00:00:00+00:00","to":"2025-07-01T00:00:00+00:00"}}},"environment":{"converter":{"name":"skl2onnx","version":"1.20.0"},"cpu":"x86_64, 2 cores","gpu":"no GPU","image_digest":null,"lockfile_sha256":"fd093a05d7bdc038841c0e712a3e501167d42625324203cf2b2b541ee37e4acd","onnxruntime":"1.31.1","os":"Linux-6.18.44-fc-v857-x86_64-with-glibc2.36","packages":{"Pygments":"2.21.0","SQLAlchemy":"2.1.9","annotated-doc":"0.0.7","annotated-types":"0.8.0","attrs":"26.1.0","cffi":"2.1.1","cloudpickle":"3.1.2","cryptography":"50.0.2","googleapis-common-protos":"1.76.0","grpcio":"1.85.1","grpcio-health-checking":"1.85.1","grpcio-reflection":"1.85.1","iniconfig":"2.3.1","joblib":"1.6.0","ml_dtypes":"0.6.0","narwhals":"2.28.0","numpy":"2.4.6","onnx":"1.23.2","onnxruntime":"1.31.1","pluggy":"1.7.0","protobuf":"7.36.2","psutil":"7.2.2","psycopg":"3.3.9","psycopg-binary":"3.3.9","pydantic":"2.14.3","pydantic-settings":"2.16.3","pydantic_core":"2.50.4","pytest":"9.2.0","python-dotenv":"1.2.4","rfc8785":"0.1.4","rich":"15.0.0","scikit-learn":"1.9.1","scipy":"1.17.1","setuptools":"65.5.0","shellingham":"1.5.4","skl2onnx":"1.20.0","structlog":"26.1.0","threadpoolctl":"3.8.0","typer":"0.29.2","typing-inspection":"0.4.5","typing_extensions":"4.16.0","uvloop":"0.23.0"},"python":"3.11.7"},"evaluation":{"comparison":{"first_version":true},"metrics":[{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.9933243326783835,"level":0.95,"low":0.9058353311871624,"method":"DeLong"},"n":100,"name":"auc","slice":"all","value":0.949579831932773},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.12529500610154376,"level":0.95,"low":0.06395684952815565,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"brier","slice":"all","value":0.09427273010883506},{"dataset":"sha256:932b328df1c668c03a9c7b90cf5a079ee840b85ab747cf9c04950a10f00aeb56","interval":{"high":0.94,"level":0.95,"low":0.82,"method":"bootstrap, 1000 resamples, seed 1"},"n":100,"name":"accuracy","slice":"all","value":0.88}],"threshold":0.5},"features":{"columns":[{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f0"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f1"},{"default":0,"dtype":"float32","max_age_s":null,"ref":"patient@1:f2"}],"digest":"6d87c2c8504e5ebbe93ef0d6b95ab64f9c130ca8304de56b39a1f958814f6fb7","transform":{"digest":"d767dacff34fbbaae4fc42d376336c3a33305a5dc9ef50b879ac3017dbefdf31","where":"in_model"},"view_digests":{"patient@1":"03606dc56662e14426309bbdad59d667ccc49895425c259ab1d06a44898db1cd"}},"parameters":{"sha256":"1f8a7145de602698814c7c745bba164351079b8dcea3fd7c75283fb24a2153ea","values":{"C":1,"class_weight":null,"dual":false,"estimator":"sklearn.linear_model._logistic.LogisticRegression","fit_intercept":true,"intercept_scaling":1,"l1_ratio":0,"max_iter":100,"n_jobs":null,"penalty":"deprecated","random_state":7,"solver":"lbfgs","tol":0.0001,"verbose":0,"warm_start":false}},"parent":{"conversion":{"max_abs_difference":5.960464477539063e-8,"rows":100,"tolerance":0.00001},"version":"from scratch"},"people":{"approver":"grace@lab","author":"ada@lab","contact":"third@lab","owner":"risk team"},"policy":{"decision_threshold":0.5,"fallback_score":0.5,"intended_use":"tests only","licence":"Apache-2.0","revalidate_by":"2029-05-18"},"run":{"builder":"pytest","ended_at":"2026-11-30T20:08:42.518918+00:00","id":"0fd0df16-58f8-4e8b-8e4c-943c8b5d3c80","started_at":"2026-11-30T20:08:42.222272+00:00"},"schema_version":1,"seeds":{"values":{"random_state":7,"split":7}}}','[{"datatype":"FP32","name":"X","shape":[-1,3]}]','[{"datatype":"INT64","name":"label","shape":[-1]},{"datatype":"FP32","name":"probabilities","shape":[-1,2]}]','["patient@1:f0","patient@1:f1","patient@1:f2"]','[["patient",1]]','probabilities',1,1.0e-05,'[]',1,'ada@lab',1796069324143995136);
CREATE TABLE votes (
	model VARCHAR(63) NOT NULL, 
	number INTEGER NOT NULL, 
	place INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	content_digest VARCHAR(64) NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	expires_ns BIGINT NOT NULL, 
	PRIMARY KEY (model, number, place)
);
INSERT INTO "votes" VALUES('fraud',2,1,'approve','72b03a9629f3cdcd5ecf0cf35c38258143b0c830f6fb432544caa7bf332b7ae5','bob','r',1796069324281676032,1796069384281676032);
CREATE TRIGGER versions_no_update BEFORE UPDATE ON versions BEGIN SELECT RAISE(ABORT, 'versions are written once'); END;
CREATE TRIGGER versions_no_delete BEFORE DELETE ON versions BEGIN SELECT RAISE(ABORT, 'versions are written once'); END;
CREATE TRIGGER feature_views_no_update BEFORE UPDATE ON feature_views BEGIN SELECT RAISE(ABORT, 'feature_views are written once'); END;
CREATE TRIGGER feature_views_no_delete BEFORE DELETE ON feature_views BEGIN SELECT RAISE(ABORT, 'feature_views are written once'); END;
CREATE TRIGGER revisions_no_update BEFORE UPDATE ON revisions BEGIN SELECT RAISE(ABORT, 'revisions are written once'); END;
CREATE TRIGGER revisions_no_delete BEFORE DELETE ON revisions BEGIN SELECT RAISE(ABORT, 'revisions are written once'); END;
CREATE INDEX audit_of_model ON audit (model, sequence);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit are written once'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit are written once'); END;
CREATE TRIGGER lineage_no_update BEFORE UPDATE ON lineage BEGIN SELECT RAISE(ABORT, 'lineage are written once'); END;
CREATE TRIGGER lineage_no_delete BEFORE DELETE ON lineage BEGIN SELECT RAISE(ABORT, 'lineage are written once'); END;
CREATE TRIGGER epochs_no_update BEFORE UPDATE ON epochs BEGIN SELECT RAISE(ABORT, 'epochs are written once'); END;
CREATE TRIGGER epochs_no_delete BEFORE DELETE ON epochs BEGIN SELECT RAISE(ABORT, 'epochs are written once'); END;
CREATE TRIGGER votes_no_update BEFORE UPDATE ON votes BEGIN SELECT RAISE(ABORT, 'votes are written once'); END;
CREATE TRIGGER votes_no_delete BEFORE DELETE ON votes BEGIN SELECT RAISE(ABORT, 'votes are written once'); END;
CREATE TRIGGER approval_policies_no_update BEFORE UPDATE ON approval_policies BEGIN SELECT RAISE(ABORT, 'approval_policies are written once'); END;
CREATE TRIGGER approval_policies_no_delete BEFORE DELETE ON approval_policies BEGIN SELECT RAISE(ABORT, 'approval_policies are written once'); END;
CREATE TRIGGER refusals_no_update BEFORE UPDATE ON refusals BEGIN SELECT RAISE(ABORT, 'refusals are written once'); END;
CREATE TRIGGER refusals_no_delete BEFORE DELETE ON refusals BEGIN SELECT RAISE(ABORT, 'refusals are written once'); END;
COMMIT;
