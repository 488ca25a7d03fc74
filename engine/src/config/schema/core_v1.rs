//! The fields of core/v1 Container and Volume and of all that is inside them, in Kubernetes 1.37.
//!
//! Generated from the OpenAPI schema in the k8s-openapi crate: `UPDATE_GOLDEN=1 cargo test --test cluster api_types`.

use super::Shape::{Any, Boolean, Int32, Int64, IntOrString, List, Map, Object, Quantity, Text, Time};
use super::{ObjectType, object};

pub(super) static AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE: ObjectType = object("AWSElasticBlockStoreVolumeSource", &[
    ("fsType", Text), ("partition", Int32), ("readOnly", Boolean), ("volumeID", Text),
]);
pub(super) static APP_ARMOR_PROFILE: ObjectType = object("AppArmorProfile", &[
    ("localhostProfile", Text), ("type", Text),
]);
pub(super) static AZURE_DISK_VOLUME_SOURCE: ObjectType = object("AzureDiskVolumeSource", &[
    ("cachingMode", Text), ("diskName", Text), ("diskURI", Text), ("fsType", Text), ("kind", Text),
    ("readOnly", Boolean),
]);
pub(super) static AZURE_FILE_VOLUME_SOURCE: ObjectType = object("AzureFileVolumeSource", &[
    ("readOnly", Boolean), ("secretName", Text), ("shareName", Text),
]);
pub(super) static CSI_VOLUME_SOURCE: ObjectType = object("CSIVolumeSource", &[
    ("driver", Text), ("fsType", Text), ("nodePublishSecretRef", Object(&LOCAL_OBJECT_REFERENCE)),
    ("readOnly", Boolean), ("volumeAttributes", Map(&Text)),
]);
pub(super) static CAPABILITIES: ObjectType = object("Capabilities", &[
    ("add", List(&Text)), ("drop", List(&Text)),
]);
pub(super) static CEPH_FS_VOLUME_SOURCE: ObjectType = object("CephFSVolumeSource", &[
    ("monitors", List(&Text)), ("path", Text), ("readOnly", Boolean), ("secretFile", Text),
    ("secretRef", Object(&LOCAL_OBJECT_REFERENCE)), ("user", Text),
]);
pub(super) static CINDER_VOLUME_SOURCE: ObjectType = object("CinderVolumeSource", &[
    ("fsType", Text), ("readOnly", Boolean), ("secretRef", Object(&LOCAL_OBJECT_REFERENCE)),
    ("volumeID", Text),
]);
pub(super) static CLUSTER_TRUST_BUNDLE_PROJECTION: ObjectType = object("ClusterTrustBundleProjection", &[
    ("labelSelector", Object(&LABEL_SELECTOR)), ("name", Text), ("optional", Boolean),
    ("path", Text), ("signerName", Text), ("user", Int64),
]);
pub(super) static CONFIG_MAP_ENV_SOURCE: ObjectType = object("ConfigMapEnvSource", &[
    ("name", Text), ("optional", Boolean),
]);
pub(super) static CONFIG_MAP_KEY_SELECTOR: ObjectType = object("ConfigMapKeySelector", &[
    ("key", Text), ("name", Text), ("optional", Boolean),
]);
pub(super) static CONFIG_MAP_PROJECTION: ObjectType = object("ConfigMapProjection", &[
    ("items", List(&Object(&KEY_TO_PATH))), ("name", Text), ("optional", Boolean),
]);
pub(super) static CONFIG_MAP_VOLUME_SOURCE: ObjectType = object("ConfigMapVolumeSource", &[
    ("defaultMode", Int32), ("defaultUser", Int64), ("items", List(&Object(&KEY_TO_PATH))),
    ("name", Text), ("optional", Boolean),
]);
pub(super) static CONTAINER: ObjectType = object("Container", &[
    ("args", List(&Text)), ("command", List(&Text)), ("env", List(&Object(&ENV_VAR))),
    ("envFrom", List(&Object(&ENV_FROM_SOURCE))), ("image", Text), ("imagePullPolicy", Text),
    ("lifecycle", Object(&LIFECYCLE)), ("livenessProbe", Object(&PROBE)), ("name", Text),
    ("ports", List(&Object(&CONTAINER_PORT))), ("readinessProbe", Object(&PROBE)),
    ("resizePolicy", List(&Object(&CONTAINER_RESIZE_POLICY))),
    ("resources", Object(&RESOURCE_REQUIREMENTS)), ("restartPolicy", Text),
    ("restartPolicyRules", List(&Object(&CONTAINER_RESTART_RULE))),
    ("securityContext", Object(&SECURITY_CONTEXT)), ("startupProbe", Object(&PROBE)),
    ("stdin", Boolean), ("stdinOnce", Boolean), ("terminationMessagePath", Text),
    ("terminationMessagePolicy", Text), ("tty", Boolean),
    ("volumeDevices", List(&Object(&VOLUME_DEVICE))),
    ("volumeMounts", List(&Object(&VOLUME_MOUNT))), ("workingDir", Text),
]);
pub(super) static CONTAINER_PORT: ObjectType = object("ContainerPort", &[
    ("containerPort", Int32), ("hostIP", Text), ("hostPort", Int32), ("name", Text),
    ("protocol", Text),
]);
pub(super) static CONTAINER_RESIZE_POLICY: ObjectType = object("ContainerResizePolicy", &[
    ("resourceName", Text), ("restartPolicy", Text),
]);
pub(super) static CONTAINER_RESTART_RULE: ObjectType = object("ContainerRestartRule", &[
    ("action", Text), ("exitCodes", Object(&CONTAINER_RESTART_RULE_ON_EXIT_CODES)),
]);
pub(super) static CONTAINER_RESTART_RULE_ON_EXIT_CODES: ObjectType = object("ContainerRestartRuleOnExitCodes", &[
    ("operator", Text), ("values", List(&Int32)),
]);
pub(super) static DOWNWARD_API_PROJECTION: ObjectType = object("DownwardAPIProjection", &[
    ("items", List(&Object(&DOWNWARD_API_VOLUME_FILE))),
]);
pub(super) static DOWNWARD_API_VOLUME_FILE: ObjectType = object("DownwardAPIVolumeFile", &[
    ("fieldRef", Object(&OBJECT_FIELD_SELECTOR)), ("mode", Int32), ("path", Text),
    ("resourceFieldRef", Object(&RESOURCE_FIELD_SELECTOR)), ("user", Int64),
]);
pub(super) static DOWNWARD_API_VOLUME_SOURCE: ObjectType = object("DownwardAPIVolumeSource", &[
    ("defaultMode", Int32), ("defaultUser", Int64),
    ("items", List(&Object(&DOWNWARD_API_VOLUME_FILE))),
]);
pub(super) static EMPTY_DIR_VOLUME_SOURCE: ObjectType = object("EmptyDirVolumeSource", &[
    ("medium", Text), ("mode", Int32), ("sizeLimit", Quantity),
]);
pub(super) static ENV_FROM_SOURCE: ObjectType = object("EnvFromSource", &[
    ("configMapRef", Object(&CONFIG_MAP_ENV_SOURCE)), ("prefix", Text),
    ("secretRef", Object(&SECRET_ENV_SOURCE)),
]);
pub(super) static ENV_VAR: ObjectType = object("EnvVar", &[
    ("name", Text), ("value", Text), ("valueFrom", Object(&ENV_VAR_SOURCE)),
]);
pub(super) static ENV_VAR_SOURCE: ObjectType = object("EnvVarSource", &[
    ("configMapKeyRef", Object(&CONFIG_MAP_KEY_SELECTOR)),
    ("fieldRef", Object(&OBJECT_FIELD_SELECTOR)), ("fileKeyRef", Object(&FILE_KEY_SELECTOR)),
    ("resourceFieldRef", Object(&RESOURCE_FIELD_SELECTOR)),
    ("secretKeyRef", Object(&SECRET_KEY_SELECTOR)),
]);
pub(super) static EPHEMERAL_VOLUME_SOURCE: ObjectType = object("EphemeralVolumeSource", &[
    ("volumeClaimTemplate", Object(&PERSISTENT_VOLUME_CLAIM_TEMPLATE)),
]);
pub(super) static EXEC_ACTION: ObjectType = object("ExecAction", &[
    ("command", List(&Text)),
]);
pub(super) static FC_VOLUME_SOURCE: ObjectType = object("FCVolumeSource", &[
    ("fsType", Text), ("lun", Int32), ("readOnly", Boolean), ("targetWWNs", List(&Text)),
    ("wwids", List(&Text)),
]);
pub(super) static FILE_KEY_SELECTOR: ObjectType = object("FileKeySelector", &[
    ("key", Text), ("optional", Boolean), ("path", Text), ("volumeName", Text),
]);
pub(super) static FLEX_VOLUME_SOURCE: ObjectType = object("FlexVolumeSource", &[
    ("driver", Text), ("fsType", Text), ("options", Map(&Text)), ("readOnly", Boolean),
    ("secretRef", Object(&LOCAL_OBJECT_REFERENCE)),
]);
pub(super) static FLOCKER_VOLUME_SOURCE: ObjectType = object("FlockerVolumeSource", &[
    ("datasetName", Text), ("datasetUUID", Text),
]);
pub(super) static GCE_PERSISTENT_DISK_VOLUME_SOURCE: ObjectType = object("GCEPersistentDiskVolumeSource", &[
    ("fsType", Text), ("partition", Int32), ("pdName", Text), ("readOnly", Boolean),
]);
pub(super) static GRPC_ACTION: ObjectType = object("GRPCAction", &[
    ("mode", Text), ("port", Int32), ("service", Text),
]);
pub(super) static GIT_REPO_VOLUME_SOURCE: ObjectType = object("GitRepoVolumeSource", &[
    ("directory", Text), ("repository", Text), ("revision", Text),
]);
pub(super) static GLUSTERFS_VOLUME_SOURCE: ObjectType = object("GlusterfsVolumeSource", &[
    ("endpoints", Text), ("path", Text), ("readOnly", Boolean),
]);
pub(super) static HTTP_GET_ACTION: ObjectType = object("HTTPGetAction", &[
    ("host", Text), ("httpHeaders", List(&Object(&HTTP_HEADER))), ("path", Text),
    ("port", IntOrString), ("protocol", Text), ("scheme", Text),
]);
pub(super) static HTTP_HEADER: ObjectType = object("HTTPHeader", &[
    ("name", Text), ("value", Text),
]);
pub(super) static HOST_PATH_VOLUME_SOURCE: ObjectType = object("HostPathVolumeSource", &[
    ("path", Text), ("type", Text),
]);
pub(super) static ISCSI_VOLUME_SOURCE: ObjectType = object("ISCSIVolumeSource", &[
    ("chapAuthDiscovery", Boolean), ("chapAuthSession", Boolean), ("fsType", Text),
    ("initiatorName", Text), ("iqn", Text), ("iscsiInterface", Text), ("lun", Int32),
    ("portals", List(&Text)), ("readOnly", Boolean), ("secretRef", Object(&LOCAL_OBJECT_REFERENCE)),
    ("targetPortal", Text),
]);
pub(super) static IMAGE_VOLUME_SOURCE: ObjectType = object("ImageVolumeSource", &[
    ("pullPolicy", Text), ("reference", Text),
]);
pub(super) static KEY_TO_PATH: ObjectType = object("KeyToPath", &[
    ("key", Text), ("mode", Int32), ("path", Text), ("user", Int64),
]);
pub(super) static LABEL_SELECTOR: ObjectType = object("LabelSelector", &[
    ("matchExpressions", List(&Object(&LABEL_SELECTOR_REQUIREMENT))), ("matchLabels", Map(&Text)),
]);
pub(super) static LABEL_SELECTOR_REQUIREMENT: ObjectType = object("LabelSelectorRequirement", &[
    ("key", Text), ("operator", Text), ("values", List(&Text)),
]);
pub(super) static LIFECYCLE: ObjectType = object("Lifecycle", &[
    ("postStart", Object(&LIFECYCLE_HANDLER)), ("preStop", Object(&LIFECYCLE_HANDLER)),
    ("stopSignal", Text),
]);
pub(super) static LIFECYCLE_HANDLER: ObjectType = object("LifecycleHandler", &[
    ("exec", Object(&EXEC_ACTION)), ("httpGet", Object(&HTTP_GET_ACTION)),
    ("sleep", Object(&SLEEP_ACTION)), ("tcpSocket", Object(&TCP_SOCKET_ACTION)),
]);
pub(super) static LOCAL_OBJECT_REFERENCE: ObjectType = object("LocalObjectReference", &[
    ("name", Text),
]);
pub(super) static MANAGED_FIELDS_ENTRY: ObjectType = object("ManagedFieldsEntry", &[
    ("apiVersion", Text), ("fieldsType", Text), ("fieldsV1", Any), ("manager", Text),
    ("operation", Text), ("subresource", Text), ("time", Time),
]);
pub(super) static NFS_VOLUME_SOURCE: ObjectType = object("NFSVolumeSource", &[
    ("path", Text), ("readOnly", Boolean), ("server", Text),
]);
pub(super) static OBJECT_FIELD_SELECTOR: ObjectType = object("ObjectFieldSelector", &[
    ("apiVersion", Text), ("fieldPath", Text),
]);
pub(super) static OBJECT_META: ObjectType = object("ObjectMeta", &[
    ("annotations", Map(&Text)), ("creationTimestamp", Time), ("deletionGracePeriodSeconds", Int64),
    ("deletionTimestamp", Time), ("finalizers", List(&Text)), ("generateName", Text),
    ("generation", Int64), ("labels", Map(&Text)),
    ("managedFields", List(&Object(&MANAGED_FIELDS_ENTRY))), ("name", Text), ("namespace", Text),
    ("ownerReferences", List(&Object(&OWNER_REFERENCE))), ("resourceVersion", Text),
    ("selfLink", Text), ("uid", Text),
]);
pub(super) static OWNER_REFERENCE: ObjectType = object("OwnerReference", &[
    ("apiVersion", Text), ("blockOwnerDeletion", Boolean), ("controller", Boolean), ("kind", Text),
    ("name", Text), ("uid", Text),
]);
pub(super) static PERSISTENT_VOLUME_CLAIM_SPEC: ObjectType = object("PersistentVolumeClaimSpec", &[
    ("accessModes", List(&Text)), ("dataSource", Object(&TYPED_LOCAL_OBJECT_REFERENCE)),
    ("dataSourceRef", Object(&TYPED_OBJECT_REFERENCE)),
    ("resources", Object(&VOLUME_RESOURCE_REQUIREMENTS)), ("selector", Object(&LABEL_SELECTOR)),
    ("storageClassName", Text), ("volumeAttributesClassName", Text), ("volumeMode", Text),
    ("volumeName", Text),
]);
pub(super) static PERSISTENT_VOLUME_CLAIM_TEMPLATE: ObjectType = object("PersistentVolumeClaimTemplate", &[
    ("metadata", Object(&OBJECT_META)), ("spec", Object(&PERSISTENT_VOLUME_CLAIM_SPEC)),
]);
pub(super) static PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE: ObjectType = object("PersistentVolumeClaimVolumeSource", &[
    ("claimName", Text), ("readOnly", Boolean),
]);
pub(super) static PHOTON_PERSISTENT_DISK_VOLUME_SOURCE: ObjectType = object("PhotonPersistentDiskVolumeSource", &[
    ("fsType", Text), ("pdID", Text),
]);
pub(super) static POD_CERTIFICATE_PROJECTION: ObjectType = object("PodCertificateProjection", &[
    ("certificateChainPath", Text), ("credentialBundlePath", Text), ("keyPath", Text),
    ("keyType", Text), ("maxExpirationSeconds", Int32), ("signerName", Text), ("user", Int64),
    ("userAnnotations", Map(&Text)),
]);
pub(super) static PORTWORX_VOLUME_SOURCE: ObjectType = object("PortworxVolumeSource", &[
    ("fsType", Text), ("readOnly", Boolean), ("volumeID", Text),
]);
pub(super) static PROBE: ObjectType = object("Probe", &[
    ("exec", Object(&EXEC_ACTION)), ("failureThreshold", Int32), ("grpc", Object(&GRPC_ACTION)),
    ("httpGet", Object(&HTTP_GET_ACTION)), ("initialDelaySeconds", Int32), ("periodSeconds", Int32),
    ("successThreshold", Int32), ("tcpSocket", Object(&TCP_SOCKET_ACTION)),
    ("terminationGracePeriodSeconds", Int64), ("timeoutSeconds", Int32),
]);
pub(super) static PROJECTED_VOLUME_SOURCE: ObjectType = object("ProjectedVolumeSource", &[
    ("defaultMode", Int32), ("defaultUser", Int64), ("sources", List(&Object(&VOLUME_PROJECTION))),
]);
pub(super) static QUOBYTE_VOLUME_SOURCE: ObjectType = object("QuobyteVolumeSource", &[
    ("group", Text), ("readOnly", Boolean), ("registry", Text), ("tenant", Text), ("user", Text),
    ("volume", Text),
]);
pub(super) static RBD_VOLUME_SOURCE: ObjectType = object("RBDVolumeSource", &[
    ("fsType", Text), ("image", Text), ("keyring", Text), ("monitors", List(&Text)), ("pool", Text),
    ("readOnly", Boolean), ("secretRef", Object(&LOCAL_OBJECT_REFERENCE)), ("user", Text),
]);
pub(super) static RESOURCE_CLAIM: ObjectType = object("ResourceClaim", &[
    ("name", Text), ("request", Text),
]);
pub(super) static RESOURCE_FIELD_SELECTOR: ObjectType = object("ResourceFieldSelector", &[
    ("containerName", Text), ("divisor", Quantity), ("resource", Text),
]);
pub(super) static RESOURCE_REQUIREMENTS: ObjectType = object("ResourceRequirements", &[
    ("claims", List(&Object(&RESOURCE_CLAIM))), ("limits", Map(&Quantity)),
    ("requests", Map(&Quantity)),
]);
pub(super) static SE_LINUX_OPTIONS: ObjectType = object("SELinuxOptions", &[
    ("level", Text), ("role", Text), ("type", Text), ("user", Text),
]);
pub(super) static SCALE_IO_VOLUME_SOURCE: ObjectType = object("ScaleIOVolumeSource", &[
    ("fsType", Text), ("gateway", Text), ("protectionDomain", Text), ("readOnly", Boolean),
    ("secretRef", Object(&LOCAL_OBJECT_REFERENCE)), ("sslEnabled", Boolean), ("storageMode", Text),
    ("storagePool", Text), ("system", Text), ("volumeName", Text),
]);
pub(super) static SECCOMP_PROFILE: ObjectType = object("SeccompProfile", &[
    ("localhostProfile", Text), ("type", Text),
]);
pub(super) static SECRET_ENV_SOURCE: ObjectType = object("SecretEnvSource", &[
    ("name", Text), ("optional", Boolean),
]);
pub(super) static SECRET_KEY_SELECTOR: ObjectType = object("SecretKeySelector", &[
    ("key", Text), ("name", Text), ("optional", Boolean),
]);
pub(super) static SECRET_PROJECTION: ObjectType = object("SecretProjection", &[
    ("items", List(&Object(&KEY_TO_PATH))), ("name", Text), ("optional", Boolean),
]);
pub(super) static SECRET_VOLUME_SOURCE: ObjectType = object("SecretVolumeSource", &[
    ("defaultMode", Int32), ("defaultUser", Int64), ("items", List(&Object(&KEY_TO_PATH))),
    ("optional", Boolean), ("secretName", Text),
]);
pub(super) static SECURITY_CONTEXT: ObjectType = object("SecurityContext", &[
    ("allowPrivilegeEscalation", Boolean), ("appArmorProfile", Object(&APP_ARMOR_PROFILE)),
    ("capabilities", Object(&CAPABILITIES)), ("privileged", Boolean), ("procMount", Text),
    ("readOnlyRootFilesystem", Boolean), ("runAsGroup", Int64), ("runAsNonRoot", Boolean),
    ("runAsUser", Int64), ("seLinuxOptions", Object(&SE_LINUX_OPTIONS)),
    ("seccompProfile", Object(&SECCOMP_PROFILE)),
    ("windowsOptions", Object(&WINDOWS_SECURITY_CONTEXT_OPTIONS)),
]);
pub(super) static SERVICE_ACCOUNT_TOKEN_PROJECTION: ObjectType = object("ServiceAccountTokenProjection", &[
    ("audience", Text), ("expirationSeconds", Int64), ("path", Text), ("user", Int64),
]);
pub(super) static SLEEP_ACTION: ObjectType = object("SleepAction", &[
    ("seconds", Int64),
]);
pub(super) static STORAGE_OS_VOLUME_SOURCE: ObjectType = object("StorageOSVolumeSource", &[
    ("fsType", Text), ("readOnly", Boolean), ("secretRef", Object(&LOCAL_OBJECT_REFERENCE)),
    ("volumeName", Text), ("volumeNamespace", Text),
]);
pub(super) static TCP_SOCKET_ACTION: ObjectType = object("TCPSocketAction", &[
    ("host", Text), ("port", IntOrString),
]);
pub(super) static TYPED_LOCAL_OBJECT_REFERENCE: ObjectType = object("TypedLocalObjectReference", &[
    ("apiGroup", Text), ("kind", Text), ("name", Text),
]);
pub(super) static TYPED_OBJECT_REFERENCE: ObjectType = object("TypedObjectReference", &[
    ("apiGroup", Text), ("kind", Text), ("name", Text), ("namespace", Text),
]);
pub(super) static VOLUME: ObjectType = object("Volume", &[
    ("awsElasticBlockStore", Object(&AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE)),
    ("azureDisk", Object(&AZURE_DISK_VOLUME_SOURCE)),
    ("azureFile", Object(&AZURE_FILE_VOLUME_SOURCE)), ("cephfs", Object(&CEPH_FS_VOLUME_SOURCE)),
    ("cinder", Object(&CINDER_VOLUME_SOURCE)), ("configMap", Object(&CONFIG_MAP_VOLUME_SOURCE)),
    ("csi", Object(&CSI_VOLUME_SOURCE)), ("downwardAPI", Object(&DOWNWARD_API_VOLUME_SOURCE)),
    ("emptyDir", Object(&EMPTY_DIR_VOLUME_SOURCE)), ("ephemeral", Object(&EPHEMERAL_VOLUME_SOURCE)),
    ("fc", Object(&FC_VOLUME_SOURCE)), ("flexVolume", Object(&FLEX_VOLUME_SOURCE)),
    ("flocker", Object(&FLOCKER_VOLUME_SOURCE)),
    ("gcePersistentDisk", Object(&GCE_PERSISTENT_DISK_VOLUME_SOURCE)),
    ("gitRepo", Object(&GIT_REPO_VOLUME_SOURCE)), ("glusterfs", Object(&GLUSTERFS_VOLUME_SOURCE)),
    ("hostPath", Object(&HOST_PATH_VOLUME_SOURCE)), ("image", Object(&IMAGE_VOLUME_SOURCE)),
    ("iscsi", Object(&ISCSI_VOLUME_SOURCE)), ("name", Text), ("nfs", Object(&NFS_VOLUME_SOURCE)),
    ("persistentVolumeClaim", Object(&PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE)),
    ("photonPersistentDisk", Object(&PHOTON_PERSISTENT_DISK_VOLUME_SOURCE)),
    ("portworxVolume", Object(&PORTWORX_VOLUME_SOURCE)),
    ("projected", Object(&PROJECTED_VOLUME_SOURCE)), ("quobyte", Object(&QUOBYTE_VOLUME_SOURCE)),
    ("rbd", Object(&RBD_VOLUME_SOURCE)), ("scaleIO", Object(&SCALE_IO_VOLUME_SOURCE)),
    ("secret", Object(&SECRET_VOLUME_SOURCE)), ("storageos", Object(&STORAGE_OS_VOLUME_SOURCE)),
    ("vsphereVolume", Object(&VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE)),
]);
pub(super) static VOLUME_DEVICE: ObjectType = object("VolumeDevice", &[
    ("devicePath", Text), ("name", Text),
]);
pub(super) static VOLUME_MOUNT: ObjectType = object("VolumeMount", &[
    ("bindMountOptions", List(&Text)), ("mountPath", Text), ("mountPropagation", Text),
    ("name", Text), ("readOnly", Boolean), ("recursiveReadOnly", Text), ("subPath", Text),
    ("subPathExpr", Text),
]);
pub(super) static VOLUME_PROJECTION: ObjectType = object("VolumeProjection", &[
    ("clusterTrustBundle", Object(&CLUSTER_TRUST_BUNDLE_PROJECTION)),
    ("configMap", Object(&CONFIG_MAP_PROJECTION)),
    ("downwardAPI", Object(&DOWNWARD_API_PROJECTION)),
    ("podCertificate", Object(&POD_CERTIFICATE_PROJECTION)), ("secret", Object(&SECRET_PROJECTION)),
    ("serviceAccountToken", Object(&SERVICE_ACCOUNT_TOKEN_PROJECTION)),
]);
pub(super) static VOLUME_RESOURCE_REQUIREMENTS: ObjectType = object("VolumeResourceRequirements", &[
    ("limits", Map(&Quantity)), ("requests", Map(&Quantity)),
]);
pub(super) static VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE: ObjectType = object("VsphereVirtualDiskVolumeSource", &[
    ("fsType", Text), ("storagePolicyID", Text), ("storagePolicyName", Text), ("volumePath", Text),
]);
pub(super) static WINDOWS_SECURITY_CONTEXT_OPTIONS: ObjectType = object("WindowsSecurityContextOptions", &[
    ("gmsaCredentialSpec", Text), ("gmsaCredentialSpecName", Text), ("hostProcess", Boolean),
    ("runAsUserName", Text),
]);
